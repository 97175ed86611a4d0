import re
from itertools import pairwise
from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.rules.bounds import Form
from alerting.rules.functions import Computed, Function, Kind, compute, deviation, parse_function, quantile, rate_of
from toban.samples import Unit

MINUTE = 60.0
ALL = "there are rate(…), delta(…), mean(…), max(…), min(…), quantile(…), forecast(…), absent(…), deviation(…)"


def minutes(*values: float, begin: float = 0.0) -> list[tuple[float, float]]:
    """One reading a minute."""
    return [(begin + number * MINUTE, value) for number, value in enumerate(values)]


def computed(text: str, *values: float, counter: bool = False) -> Computed:
    """A function over readings a minute apart, at the last of them."""
    places = minutes(*values)
    return compute(parse_function(text), places, places[-1][0], counter=counter)


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("rate(5m)", Function(Kind.RATE, 300.0, "rate(5m)")),
        (" delta( 1h ) ", Function(Kind.DELTA, 3600.0, "delta( 1h )")),
        ("quantile(0.95, 1h)", Function(Kind.QUANTILE, 3600.0, "quantile(0.95, 1h)", share=0.95)),
        ("quantile(95%,1h)", Function(Kind.QUANTILE, 3600.0, "quantile(95%,1h)", share=0.95)),
        (
            "forecast(100%, 6h)",
            Function(Kind.FORECAST, 21600.0, "forecast(100%, 6h)", limit=1.0, limit_form=Form.SHARE),
        ),
        ("forecast(0, 6h)", Function(Kind.FORECAST, 21600.0, "forecast(0, 6h)", rises=False)),
        (
            "forecast(< 1GB, 6h)",
            Function(Kind.FORECAST, 21600.0, "forecast(< 1GB, 6h)", limit=2.0**30, rises=False, limit_form=Form.SIZE),
        ),
        ("forecast(>= 0, 6h)", Function(Kind.FORECAST, 21600.0, "forecast(>= 0, 6h)")),
        ("absent(10m)", Function(Kind.ABSENT, 600.0, "absent(10m)")),
        ("deviation(4w)", Function(Kind.DEVIATION, 2419200.0, "deviation(4w)")),
    ],
)
def test_function_reads_what_people_write(text: str, function: Function) -> None:
    """Each form of the field."""
    assert parse_function(text) == function
    assert parse_function(function) is function
    assert str(function) == text.strip()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "median(5m)",
            f"'median(5m)' is no function; {ALL}",
        ),
        (
            "mean 5m",
            f"'mean 5m' is no function; {ALL}",
        ),
        ("rate(5)", "'rate(5)' has no window; write rate(5m)"),
        ("rate()", "'rate()' has no window; write rate(5m)"),
        ("rate(0.5, 5m)", "'rate(0.5, 5m)' is not how it is written; write rate(5m)"),
        ("quantile(1h)", "'quantile(1h)' is not how it is written; write quantile(0.95, 1h)"),
        ("quantile(0.9, soon)", "'quantile(0.9, soon)' has no window; write quantile(0.95, 1h)"),
        ("quantile(95, 1h)", "'quantile(95, 1h)' has no share between 0 and 1; write quantile(0.95, 1h)"),
        ("quantile(x, 1h)", "'quantile(x, 1h)' has no share between 0 and 1; write quantile(0.95, 1h)"),
        ("forecast(full, 6h)", "'forecast(full, 6h)' has no bound to reach; write forecast(100%, 6h)"),
        ("deviation(1w)", "'deviation(1w)' looks back too short a time; a deviation takes 2w or more"),
    ],
)
def test_function_refuses_what_is_none(text: str, why: str) -> None:
    """Each mistake with its own sentence."""
    with pytest.raises(ValueError, match=rf"^{re.escape(why)}$"):
        parse_function(text)


def test_function_tells_the_unit_of_what_it_makes() -> None:
    """Time until, or since, is seconds; seconds a second have no unit."""
    units = {text: parse_function(text).unit(Unit.SECONDS) for text in ("rate(5m)", "mean(5m)", "forecast(1, 5m)")}
    assert units == {"rate(5m)": Unit.NONE, "mean(5m)": Unit.SECONDS, "forecast(1, 5m)": Unit.SECONDS}
    assert parse_function("rate(5m)").unit(Unit.BYTES) is Unit.BYTES
    assert parse_function("deviation(2w)").unit(Unit.BYTES) is Unit.NONE


@pytest.mark.parametrize(
    ("text", "value"),
    [("mean(5m)", 4.0), ("max(5m)", 6.0), ("min(5m)", 2.0), ("quantile(0.5, 5m)", 4.0), ("quantile(0.75, 5m)", 5.0)],
)
def test_aggregate_is_of_the_readings_inside_the_window(text: str, value: float) -> None:
    """The reading before it shows that it is covered, and counts for nothing else."""
    assert computed(text, 99.0, 2.0, 3.0, 4.0, 5.0, 6.0) == Computed(value)


def test_function_says_when_it_has_seen_too_little() -> None:
    """Half of its window must have been seen; less is not known, and why."""
    assert computed("mean(5m)", 1.0, 2.0) == Computed(None, "1m of 5m seen so far")
    assert computed("rate(10m)", 1.0, 2.0, 3.0, counter=True) == Computed(None, "2m of 10m seen so far")
    assert computed("rate(5m)", 1.0, counter=True) == Computed(None, "one reading so far")
    assert compute(parse_function("mean(5m)"), [], 0.0, counter=False) == Computed(None, "nothing of 5m seen so far")


def test_aggregate_of_an_empty_window_is_not_known() -> None:
    """Old readings say nothing of now."""
    assert compute(parse_function("max(1m)"), minutes(5.0), 600.0, counter=False) == Computed(
        None, "no reading within 1m"
    )


def test_rate_and_delta_are_of_the_growth() -> None:
    """A counter that grows by 60 a minute grows by one a second; a gauge may fall."""
    assert computed("rate(3m)", 0.0, 60.0, 120.0, 180.0, counter=True) == Computed(1.0)
    assert computed("delta(3m)", 0.0, 60.0, 120.0, 180.0, counter=True) == Computed(180.0)
    assert computed("delta(3m)", 10.0, 9.0, 8.0, 4.0) == Computed(-6.0)


def test_rate_is_not_known_at_a_reset() -> None:
    """A restart, a failover or a reset is neither zero nor a spike."""
    reset = Computed(None, "it was reset, restarted or broken off at the last reading")
    assert computed("rate(3m)", 1000.0, 1060.0, 1120.0, 5.0, counter=True) == reset
    assert computed("rate(3m)", 1000.0, 1060.0, nan, 9e9, counter=True) == reset


def test_rate_leaves_out_the_interval_of_the_reset() -> None:
    """Once it grows again, the intervals that are known count, and only these."""
    assert computed("rate(4m)", 1000.0, 1060.0, 1120.0, 5.0, 65.0, counter=True) == Computed(1.0)
    assert computed("delta(4m)", 1000.0, 1060.0, 1120.0, 5.0, 65.0, counter=True) == Computed(180.0)


def test_forecast_tells_when_the_limit_is_reached() -> None:
    """Growth of one per cent a minute from 50 % takes 40 minutes from 60 %."""
    shares = [0.5 + number / 100 for number in range(11)]
    found = computed("forecast(100%, 10m)", *shares).value
    assert found is not None
    assert found == pytest.approx(inf)  # 40 minutes are more than is believed out of ten
    near = computed("forecast(75%, 10m)", *shares).value
    assert near == pytest.approx(900.0)


def test_forecast_falls_towards_zero() -> None:
    """What is used up runs into its limit from above."""
    left = [100.0 - 5 * number for number in range(11)]
    assert computed("forecast(0, 10m)", *left).value == pytest.approx(600.0)
    assert computed("forecast(< 40, 10m)", *left).value == pytest.approx(120.0)


def test_forecast_is_not_fooled_by_one_step() -> None:
    """One bulk load is no growth: never, not soon."""
    assert computed("forecast(100%, 10m)", *[0.2] * 5, *[0.6] * 6) == Computed(inf)


def test_forecast_of_a_few_readings_is_not_known() -> None:
    """Two places make a line, but no trend."""
    assert computed("forecast(100%, 2m)", 0.1, 0.2, 0.3) == Computed(None, "3 readings are too few for a trend")


def test_deviation_counts_usual_spreads() -> None:
    """The same hour of four weeks was about 100, give or take 3."""
    usual = [97.0, 100.0, 103.0, 100.0, 106.0]
    found = deviation(130.0, usual)
    assert found.value == pytest.approx(30 / (1.4826 * 3))
    assert deviation(100.0, usual) == Computed(0.0)


def test_deviation_is_not_known_without_a_past() -> None:
    """Too few hours, or hours that never varied and are zero."""
    assert deviation(1.0, [1.0, nan, inf, 2.0]) == Computed(None, "2 hours of earlier weeks are known; it takes 4")
    assert deviation(1.0, [0.0] * 12) == Computed(None, "it never varied at this hour, so nothing says how far is far")
    assert deviation(0.0, [0.0] * 12) == Computed(0.0)


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=60))
def test_rate_of_a_counter_is_never_negative_nor_above_its_steepest_growth(values: list[float]) -> None:
    """Whatever falls in between, no spike comes out."""
    places = minutes(*values)
    found = rate_of(places)
    growths = [(after - before) / MINUTE for before, after in pairwise(values) if after >= before]
    if found is None:
        assert growths == []
    else:
        assert 0 <= found <= max(growths) * (1 + 1e-9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_quantile_lies_within_its_values(values: list[float], share: float) -> None:
    """And grows with its share."""
    found = quantile(values, share)
    assert min(values) - 1e-6 <= found <= max(values) + 1e-6
    assert quantile(values, 0.0) == min(values)
    assert quantile(values, 1.0) == max(values)


@given(
    st.sampled_from(
        ["rate(5m)", "delta(5m)", "mean(5m)", "max(5m)", "min(5m)", "quantile(0.5, 5m)", "forecast(1, 5m)"]
    ),
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(nan)), max_size=40),
    st.booleans(),
)
def test_function_gives_a_number_or_a_reason(text: str, values: list[float], counter: bool) -> None:  # noqa: FBT001 - drawn
    """Never both nor neither, and never what is no number."""
    found = compute(parse_function(text), minutes(*values), len(values) * MINUTE, counter=counter)
    assert (found.value is None) == bool(found.reason) or found.value == inf
    assert found.value is None or not isnan(found.value)
