"""How long a backup is overdue: its age beyond the time between two of its job's moments. Pure."""

from datetime import datetime, tzinfo
from itertools import islice, pairwise

from cronsim import CronSim


def overdue_seconds(line: str, age_seconds: float, now: float, zone: tzinfo) -> float | None:
    """A daily one after a day, a weekly one after a week, one of working days after the weekend; else 0.

    None where the job's moments do not come again. In autumn a day has 25 hours in many zones.
    """
    between = _between(line, now, zone)
    return None if between is None else max(0.0, age_seconds - between)


def _between(line: str, now: float, zone: tzinfo) -> float | None:
    """The longer of the times before and after the last moment: on Monday morning Friday's backup is not late."""
    here = datetime.fromtimestamp(now, zone)
    earlier = [moment.timestamp() for moment in islice(CronSim(line, here, reverse=True), 2)]
    later = [moment.timestamp() for moment in islice(CronSim(line, here), 1)]
    moments = [*reversed(earlier), *later]
    return max((after - before for before, after in pairwise(moments)), default=None)
