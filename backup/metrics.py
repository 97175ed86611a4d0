"""The metrics of backups, declared once: what the rules judge, what `/metrics` shows, what the history keeps.

A count's name does not end in `_count`: Prometheus keeps that ending for histograms.
"""

from typing import Final

from toban.samples import Metric, Unit

COLLECTOR: Final = "backups"
TARGET: Final = "toban"
"""What stands for the target where a value is about the repository as a whole."""


def _seconds(name: str, text: str, *labels: str, kept: bool = False) -> Metric:
    return Metric(name=name, help=text, unit=Unit.SECONDS, labels=labels, kept=kept)


LAST_SUCCESS: Final = _seconds(
    "toban_backup_last_success_timestamp_seconds", "When the last good backup of a job was finished", "backup"
)
DURATION: Final = _seconds(
    "toban_backup_duration_seconds", "How long the last good backup of a job took", "backup", kept=True
)
SIZE: Final = Metric(
    name="toban_backup_size_bytes",
    help="What the last good backup of a job takes in the repository",
    unit=Unit.BYTES,
    labels=("backup",),
    kept=True,
)
PROVED: Final = _seconds(
    "toban_backup_proved_timestamp_seconds", "When a backup of a job was last proved by restoring it", "backup"
)
AGE: Final = _seconds(
    "toban_backup_age_seconds",
    "How old the newest good backup of a job is; without any, how long the job has been known",
    "backup",
)
OVERDUE: Final = _seconds(
    "toban_backup_overdue_seconds",
    "How much older the newest good backup of a job is than the time between two of its moments; else 0",
    "backup",
)
UNPROVED: Final = _seconds(
    "toban_backup_unproved_seconds",
    "How long ago a backup of a job was last proved; without any, how long there is one to prove",
    "backup",
)
UNVERIFIED: Final = _seconds(
    "toban_backup_unverified_seconds",
    "How long the newest good backup of a job has been there without every byte of it having been read; else 0",
    "backup",
)
UNREAD: Final = _seconds(
    "toban_backup_unread_seconds",
    "How long ago that kept backup of a job should have been read through again which nobody has for longest; else 0",
    "backup",
)
FAILURES: Final = Metric(
    name="toban_backup_failures", help="How often a job has failed since its last good backup", labels=("backup",)
)
DAMAGED: Final = Metric(
    name="toban_backup_damaged", help="How many backups of a job are found to be damaged", labels=("backup",)
)
ANOMALY: Final = Metric(
    name="toban_backup_anomaly_ratio",
    help="The newest good backup of a job against the median of the earlier ones: size, duration, rows; 1 is as usual, "
    "below 0.5 and above 3 only where it matters",
    labels=("backup", "of"),
)
RUNNING: Final = Metric(name="toban_backup_running", help="Whether a backup of a job is being made", labels=("backup",))
COPY_BEHIND: Final = _seconds(
    "toban_backup_copy_behind_seconds",
    "How long the oldest good backup of a job that belongs into a copy has been missing there; else 0",
    "backup",
    "copy",
)

RPO: Final = _seconds(
    "toban_rpo_seconds", "How much of the past the last drill of a target could not bring back", kept=True
)
RTO: Final = _seconds("toban_rto_seconds", "How long the last drill of a target took to bring it back", kept=True)
RPO_GOAL: Final = _seconds("toban_rpo_goal_seconds", "How much of the past a drill of a target may lose")
RTO_GOAL: Final = _seconds("toban_rto_goal_seconds", "How long a drill of a target may take")
RPO_USED: Final = Metric(
    name="toban_rpo_used_ratio", help="How much of its goal the last drill of a target lost: above 1 is too much"
)
RTO_USED: Final = Metric(
    name="toban_rto_used_ratio", help="How much of its goal the last drill of a target took: above 1 is too long"
)
RTO_FORECAST: Final = _seconds(
    "toban_rto_forecast_seconds", "How long it would take to bring a target back at today's size"
)
DRILL_FAILED: Final = Metric(
    name="toban_drill_failed",
    help="Whether the last drill of this name came to nothing, or missed one of its goals",
    labels=("drill",),
)

WAL_LAG: Final = _seconds(
    "toban_wal_archive_lag_seconds",
    "How much of the latest past would be lost if the server were gone now, by the WAL that is kept",
    kept=True,
)
WAL_LOST: Final = Metric(
    name="toban_wal_lost_segments", help="How many segments are missing from the WAL that is kept, and are lost"
)
WAL_DAMAGED: Final = Metric(
    name="toban_wal_damaged_segments",
    help="How many segments of the WAL that is kept did not read well when they were last read through, daily",
)
WAL_LATE: Final = _seconds(
    "toban_wal_late_seconds", "How long WAL that should be kept by now has been awaited; 0 while none is late"
)
WAL_WINDOW: Final = _seconds(
    "toban_wal_window_seconds", "How far back every moment up to the newest can be restored to, without a break"
)
WAL_WINDOW_GOAL: Final = _seconds(
    "toban_wal_window_goal_seconds", "How far back it should be by now: as far as is promised, or as there are backups"
)
WAL_WINDOW_KEPT: Final = Metric(
    name="toban_wal_window_kept_ratio",
    help="How much of the past that should be reachable by now is reachable",
    unit=Unit.RATIO,
)
WAL_SIZE: Final = Metric(
    name="toban_wal_size_bytes", help="What the WAL that is kept takes", unit=Unit.BYTES, kept=True
)
WAL_RECEIVING: Final = Metric(
    name="toban_wal_receiving", help="Whether the WAL of a target is being received as a stream"
)

REPOSITORY_UP: Final = Metric(name="toban_backup_repository_up", help="Whether the repository can be read and written")
REPOSITORY_FREE: Final = Metric(
    name="toban_backup_repository_free_bytes", help="How much room the repository has left", unit=Unit.BYTES
)
REPOSITORY_FREE_RATIO: Final = Metric(
    name="toban_backup_repository_free_ratio",
    help="How much of the file system that the repository lies on is free",
    unit=Unit.RATIO,
)
REPOSITORY_FULL: Final = _seconds(
    "toban_backup_repository_full_seconds",
    "When the repository will be full as backups and WAL go on growing; there is no value while they do not grow",
)

OF_JOBS: Final = (
    *(LAST_SUCCESS, DURATION, SIZE, PROVED, AGE, OVERDUE, UNPROVED, UNVERIFIED, UNREAD, FAILURES, DAMAGED, ANOMALY),
    *(RUNNING, COPY_BEHIND),
)
OF_DRILLS: Final = (RPO, RTO, RPO_GOAL, RTO_GOAL, RPO_USED, RTO_USED, RTO_FORECAST, DRILL_FAILED)
OF_WAL: Final = (
    *(WAL_LAG, WAL_LOST, WAL_DAMAGED, WAL_LATE, WAL_WINDOW, WAL_WINDOW_GOAL, WAL_WINDOW_KEPT, WAL_SIZE),
    WAL_RECEIVING,
)
OF_REPOSITORY: Final = (REPOSITORY_UP, REPOSITORY_FREE, REPOSITORY_FREE_RATIO, REPOSITORY_FULL)
METRICS: Final = (*OF_JOBS, *OF_DRILLS, *OF_WAL, *OF_REPOSITORY)
