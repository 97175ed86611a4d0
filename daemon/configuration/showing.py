"""The configuration as people and editors see it: effective and masked, or as a JSON Schema."""

from typing import Any

import yaml

from backup.keeping.fitting import POSTGRESQL, POSTGRESQL_ALONE
from backup.settings import OWN
from daemon.configuration.tree import Configuration


def shown(configuration: Configuration) -> dict[str, Any]:
    """Every key in force, in the form it is written in, with secrets masked."""
    found = configuration.model_dump(mode="json")
    kinds = {target.name: target.kind for target in configuration.targets}
    for job in found["backups"]["jobs"] or ():
        strange = {key for key, method in OWN.items() if method != job["method"]}
        strange |= set(POSTGRESQL_ALONE) if kinds.get(job["target"]) != POSTGRESQL else set()
        for key in strange & job.keys():
            del job[key]  # it is none of this job's, and would be refused
    return found


def as_yaml(configuration: Configuration) -> str:
    """The same as a file would say it."""
    return yaml.safe_dump(shown(configuration), sort_keys=False, allow_unicode=True, width=120)


def schema() -> dict[str, Any]:
    """A JSON Schema (2020-12) for editors. It knows nothing of `!file` and `!credential`: list them as custom tags."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Configuration.model_json_schema(),
        "title": "Toban's config.yaml",
    }
