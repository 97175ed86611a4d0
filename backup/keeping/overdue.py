"""How long a backup is overdue: its age beyond the time between two of its job's moments. Pure."""

from datetime import UTC, datetime
from itertools import islice, pairwise

from cronsim import CronSim


def overdue_seconds(line: str, age_seconds: float, now: float) -> float | None:
    """A daily one after a day, a weekly one after a week, one of working days after the weekend; else 0.

    None where the job's moments do not come again. The zone shifts all of them alike, so none is asked.
    """
    between = _between(line, now)
    return None if between is None else max(0.0, age_seconds - between)


def _between(line: str, now: float) -> float | None:
    """The longer of the times before and after the last moment: on Monday morning Friday's backup is not late."""
    here = datetime.fromtimestamp(now, UTC)
    earlier = [moment.timestamp() for moment in islice(CronSim(line, here, reverse=True), 2)]
    later = [moment.timestamp() for moment in islice(CronSim(line, here), 1)]
    moments = [*reversed(earlier), *later]
    return max((after - before for before, after in pairwise(moments)), default=None)
