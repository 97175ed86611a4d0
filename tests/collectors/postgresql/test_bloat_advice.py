"""When bloat is worth a rebuild, decided from rows alone."""

import pytest

from collectors.postgresql.bloat_advice import bloat_advice, worth_it
from toban.bloat import Bloat
from toban.catalogue import say
from toban.language import Language

MB = 1024.0**2


def a_bloat(
    bloat_bytes: float, size_bytes: float = 100 * MB, *, index: str = "", exact: bool = False, standby: bool = False
) -> Bloat:
    """A table, or one of its indexes."""
    return Bloat(
        database="app",
        schema='od"d',
        table="t",
        index=index,
        size_bytes=size_bytes,
        bloat_bytes=bloat_bytes,
        exact=exact,
        standby=standby,
    )


@pytest.mark.parametrize(
    ("bloat", "size", "worth"),
    [(30 * MB, 100 * MB, True), (29 * MB, 100 * MB, False), (9 * MB, 10 * MB, False), (0.0, 0.0, False)],
)
def test_bloat_is_worth_a_rebuild_when_it_is_much(bloat: float, size: float, *, worth: bool) -> None:
    """Of itself, and of the whole."""
    assert worth_it(a_bloat(bloat, size)) is worth


def test_bloat_advice_runs_as_it_stands_the_most_first() -> None:
    """A table needs a lock, an index does not; what was counted is told even if it is little."""
    rows = [
        ("main", a_bloat(40 * MB, index="i")),
        ("main", a_bloat(50 * MB)),
        ("main", a_bloat(5 * MB)),
        ("main", a_bloat(5 * MB, exact=True)),
        ("main", "a row of another kind"),
    ]
    found = bloat_advice(rows)
    assert [(a.action, a.run, a.reason) for a in found] == [
        ("rebuild", 'VACUUM (FULL, ANALYZE) "od""d"."t";', "bloat_table"),
        ("rebuild", 'REINDEX INDEX CONCURRENTLY "od""d"."i";', "bloat_index"),
        ("keep", "", "bloat_little"),
    ]
    assert [a.gain_bytes for a in found] == [50 * MB, 40 * MB, 5 * MB]


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("index", ["", "i"])
@pytest.mark.parametrize("exact", [True, False])
def test_bloat_advice_has_its_sentence(language: Language, index: str, *, exact: bool) -> None:
    """For people, whether it was counted or estimated."""
    (advice,) = bloat_advice([("main", a_bloat(50 * MB, index=index, exact=exact))])
    assert "50 %" in say(f"advice.{advice.reason}", language, **advice.values)


@pytest.mark.parametrize("language", Language)
def test_nothing_is_to_be_run_on_a_standby(language: Language) -> None:
    """Its primary alone can rebuild; what a person had counted there is told all the same."""
    rows = [a_bloat(50 * MB, standby=True), a_bloat(50 * MB, exact=True, standby=True)]
    (advice,) = bloat_advice(("copy", row) for row in rows)
    assert (advice.action, advice.run) == ("check", "")
    assert "50 %" in say(f"advice.{advice.reason}", language, **advice.values)
