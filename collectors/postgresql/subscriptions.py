"""Subscriptions, the receiving side of logical replication: whether they work, since when they hear nothing, errors."""

from typing import Any

from collectors.postgresql.server import Databases
from collectors.postgresql.sql import Query
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Metric, Type, Unit

SUBSCRIPTIONS = Query("subscriptions")
_CONFLICT = "confl_"
_LABELS = ("datname", "subname")

ENABLED = Metric(name="toban_pg_subscription_enabled", help="Whether the subscription is enabled", labels=_LABELS)
WORKING = Metric(
    name="toban_pg_subscription_working",
    help="Whether the subscription's worker runs; one that fails is started again and again",
    labels=_LABELS,
)
SILENCE = Metric(
    name="toban_pg_subscription_silence_seconds",
    help="Since when the subscription has heard nothing from its publisher; absent while no worker runs",
    unit=Unit.SECONDS,
    labels=_LABELS,
)
ERRORS = Metric(
    name="toban_pg_subscription_errors_total",
    help="Failures to apply changes, or to copy a table at first (phase `sync`)",
    type=Type.COUNTER,
    labels=(*_LABELS, "phase"),
)
SUBSCRIPTION_CONFLICTS = Metric(
    name="toban_pg_subscription_conflicts_total",
    help="Changes that met something else than expected, by what it was; from 18 on",
    type=Type.COUNTER,
    labels=(*_LABELS, "reason"),
)
SUBSCRIPTION_METRICS = (ENABLED, WORKING, SILENCE, ERRORS, SUBSCRIPTION_CONFLICTS)


def add_subscriptions(batch: Batch, rows: list[Any], databases: Databases) -> list[Gap]:
    """Each subscription of a database that is looked at."""
    chosen = [row for row in rows if databases.chosen(row["datname"])]
    for row in chosen:
        who = (row["datname"], row["subname"])
        batch.add(ENABLED, row["enabled"], *who)
        batch.add(WORKING, row["working"], *who)
        batch.add(SILENCE, row["silence_seconds"], *who)
        batch.add(ERRORS, row.get("apply_errors"), *who, "apply")
        batch.add(ERRORS, row.get("sync_errors"), *who, "sync")
        for column, count in row.items():
            if column.startswith(_CONFLICT):
                batch.add(SUBSCRIPTION_CONFLICTS, count, *who, column.removeprefix(_CONFLICT))
    uncounted = sum("apply_errors" not in row for row in chosen)
    detail = "pg_stat_subscription_stats needs PostgreSQL 15"
    return [Gap(what="errors of subscriptions", reason=Reason.VERSION, count=uncounted, detail=detail)] * bool(
        uncounted
    )
