"""Values on their way."""

import pytest

from tests.builders import a_metric, a_sample
from toban.clock import SystemClock, moment
from toban.samples import Batch, Unit


def test_sample_knows_its_unit_and_its_labels_by_name() -> None:
    """Both are declared once, with the metric."""
    sample = a_sample(a_metric(unit=Unit.BYTES, labels=("datname", "mode")), labels=("shop", "r"))
    assert sample.unit is Unit.BYTES
    assert sample.labelled == {"datname": "shop", "mode": "r"}


def test_sample_with_a_label_too_many_is_a_fault() -> None:
    """It would be another series than the metric declares."""
    with pytest.raises(ValueError, match="argument"):
        _ = a_sample(a_metric(labels=("datname",)), labels=("shop", "r")).labelled


def test_batch_takes_all_at_one_moment_and_leaves_out_what_is_not_there() -> None:
    """None was not to be had; zero is a value."""
    batch = Batch(5.0)
    metric = a_metric(labels=("name",))
    for value, name in ((0, "zero"), (None, "none"), (2, "two")):
        batch.add(metric, value, name)
    assert [(s.value, s.labels, s.taken_at) for s in batch.samples] == [(0.0, ("zero",), 5.0), (2.0, ("two",), 5.0)]


def test_moment_is_aware_and_the_clock_does_not_stand() -> None:
    """Times without a zone are nobody's times."""
    clock = SystemClock()
    assert moment(0).isoformat() == "1970-01-01T00:00:00+00:00"
    assert clock.now() > 1.7e9
    assert clock.monotonic() <= clock.monotonic()
