"""`toban setup postgresql` on a throw-away cluster."""

from daemon.setup.postgresql import setup
from tests.clusters import Cluster
from toban.language import Language


def run_setup(
    cluster: Cluster,
    *,
    user: str = "postgres",
    role: str = "toban",
    apply: bool = False,
    as_json: bool = False,
    backups: bool = False,
) -> int:
    """The command on a real server."""
    return setup(cluster.dsn(user=user), role=role, apply=apply, as_json=as_json, language=Language.EN, backups=backups)
