"""Replication: what a replica says of itself and its primary; positions by GTID from either side."""

from collections.abc import Mapping
from typing import Any

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.mariadb.server import MariadbServer
from collectors.mariadb.sql import Query
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Type

_LABELS = ("master_host", "connection_name")


def _metric(name: str, help: str, *, type: Type = Type.GAUGE, kept: bool = False) -> Metric:  # noqa: A002 - the fields' names
    return Metric(name=f"mysql_slave_status_{name}", help=help, type=type, labels=_LABELS, compatible=True, kept=kept)


IO_RUNNING = _metric("slave_io_running", "Whether the replica fetches from its primary", kept=True)
SQL_RUNNING = _metric("slave_sql_running", "Whether the replica applies what it fetched", kept=True)
BEHIND = _metric(
    "seconds_behind_master", "Age of what the replica applies now; absent while a thread does not run", kept=True
)
_NUMBERS = {
    "last_io_errno": _metric("last_io_errno", "Number of the error that stopped fetching; 0 for none"),
    "last_sql_errno": _metric("last_sql_errno", "Number of the error that stopped applying; 0 for none"),
    "exec_master_log_pos": _metric("exec_master_log_pos", "Position in the primary's binary log applied so far"),
    "read_master_log_pos": _metric("read_master_log_pos", "Position in the primary's binary log fetched so far"),
    "relay_log_space": _metric("relay_log_space", "Bytes of all relay logs", kept=True),
    "sql_delay": _metric("sql_delay", "Seconds that the replica is told to stay behind"),
}
UNAPPLIED = Metric(
    name="toban_mysql_replica_unapplied_transactions",
    help="Transactions that the replica has fetched and not applied; absent without GTID",
    labels=_LABELS,
    kept=True,
)
REPLICA = Metric(name="toban_mysql_replica", help="Whether the server replicates from another")
SEQUENCE = Metric(
    name="toban_mysql_gtid_sequence",
    help="Sequence number of the last transaction of a replication domain, to compare primary and replica",
    labels=("domain",),
)

_STATUS = Query("replication")
_GTID = Query("gtid")


class MariadbReplication(Collector[MariadbServer, CollectorSettings]):
    """Both sides: what is fetched here, and how far this server is."""

    name = "mariadb_replication"
    purpose = "Whether replicas follow, how far behind they are, and the number of the error that stopped them."
    kind = Kind.MARIADB
    metrics = (IO_RUNNING, SQL_RUNNING, BEHIND, *_NUMBERS.values(), UNAPPLIED, REPLICA, SEQUENCE)
    settings_model = CollectorSettings

    async def collect(self) -> Findings:
        """Measure once."""
        connections = [renamed(row) for row in await self.source.fetch(_STATUS)]
        (gtid,) = await self.source.fetch(_GTID)
        batch = Batch(self.clock.now())
        batch.add(REPLICA, bool(connections))
        for domain, sequence in positions(gtid["position"]).items():
            batch.add(SEQUENCE, sequence, domain)
        for row in connections:
            _add(batch, row)
        return Findings(samples=batch.samples, gaps=tuple(_gap(row) for row in connections if _silent(row)))


def renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    """One connection in MariaDB's words, whichever the server has used."""
    plain = {name.replace("source", "master").replace("replica_", "slave_"): value for name, value in row.items()}
    return {"connection_name": plain.get("channel_name", ""), **plain}


def positions(text: str | None) -> dict[str, int]:
    """`0-1-20,1-2-5` as the last sequence number of each domain."""
    parts = [piece.strip().split("-") for piece in (text or "").split(",") if piece.strip()]
    return {part[0]: int(part[2]) for part in parts}


def unapplied(row: Mapping[str, Any]) -> int | None:
    """How many transactions were fetched and not applied; None where the replica does not go by GTID."""
    if row.get("using_gtid", "No") == "No":
        return None
    fetched, applied = positions(row.get("gtid_io_pos")), positions(row.get("gtid_slave_pos"))
    return sum(max(sequence - applied.get(domain, 0), 0) for domain, sequence in fetched.items())


def _add(batch: Batch, row: Mapping[str, Any]) -> None:
    labels = (str(row["master_host"]), str(row["connection_name"]))
    batch.add(IO_RUNNING, row["slave_io_running"] == "Yes", *labels)
    batch.add(SQL_RUNNING, row["slave_sql_running"] == "Yes", *labels)
    batch.add(BEHIND, row["seconds_behind_master"], *labels)
    for column, metric in _NUMBERS.items():
        batch.add(metric, row.get(column), *labels)
    batch.add(UNAPPLIED, unapplied(row), *labels)


def _silent(row: Mapping[str, Any]) -> bool:
    return row["seconds_behind_master"] is None


def _gap(row: Mapping[str, Any]) -> Gap:
    """Never the error's own sentence: it quotes the statement with its literals."""
    stopped = "fetching" if row["slave_io_running"] != "Yes" else "applying"
    number = row["last_io_errno"] if stopped == "fetching" else row["last_sql_errno"]
    detail = f"the replica is not {stopped}" + (f": error {number}" if number else "")
    hint = "SHOW ALL SLAVES STATUS says why, START SLAVE goes on"
    return Gap(what="seconds behind the primary", reason=Reason.UNEXPECTED, detail=detail, hint=hint)
