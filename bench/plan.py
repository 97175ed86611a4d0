"""How long everything is measured: the real thing, and a short one for work on the bench itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Durations and counts."""

    warm_up_seconds: float = 100.0  # the first rounds, and the daily question to the package manager, are over
    window_seconds: float = 300.0  # one round of the slowest cadence, sizes and relations, falls into it
    scrape_every_seconds: float = 15.0
    requests: int = 200
    request_pause_seconds: float = 0.3  # 200 of them cross every cadence up to a minute
    stopped_after_seconds: float = 5.0  # by then every turn that was under way has met the silence
    stopped_requests: int = 60
    stopped_pause_seconds: float = 0.5
    starts: int = 5
    help_runs: int = 20
    settle_seconds: float = 75.0
    further_databases: int = 100
    throughput_pairs: int = 10
    throughput_seconds: int = 15
    large_seconds: float = 600.0
    many_targets: int = 100
    many_seconds: float = 180.0
    many_settle_seconds: float = 120.0  # first rounds on an overloaded server stretch the cadences for a minute


FULL = Plan()
QUICK = Plan(
    warm_up_seconds=16,
    window_seconds=45,
    request_pause_seconds=0.02,
    stopped_requests=12,
    stopped_pause_seconds=0.2,
    starts=2,
    help_runs=3,
    settle_seconds=20,
    throughput_pairs=2,
    throughput_seconds=5,
    large_seconds=60,
    many_seconds=60,
    many_settle_seconds=90,
)
