"""What `toban wal push` and `fetch` need of a configuration, left beside the state: they have no time for all of it."""

from contextlib import suppress

from backup.wal.digest import Known, keep
from daemon.backups.streams import manner_of
from daemon.configuration.backing import plan_of
from daemon.configuration.loading import Loaded
from daemon.configuration.tree import Configuration
from toban.backups import Method
from toban.errors import TobanError


def archiving(configuration: Configuration) -> Known | None:
    """Where WAL goes, and in which manner; None where no repository is configured."""
    plan = plan_of(configuration)
    if plan.repository is None:
        return None
    manners = {job.target: manner_of(job, plan) for job in plan.jobs if job.method is Method.WAL}
    usual = next(iter(manners)) if len(manners) == 1 else None
    return Known(repository=str(plan.repository), usual=usual, manners=manners)


def leave_digest(loaded: Loaded) -> None:
    """Leave it beside the state, for the next that is in a hurry. Whoever may not write there goes without."""
    known = archiving(loaded.configuration)
    if known is not None:
        with suppress(OSError, TobanError):
            keep(loaded.configuration.state_path, known, configuration=loaded.path, files=loaded.files)
