import re

import pytest

from alerting.rules.matching import fits_all, literal, matcher, matchers, parse_patterns


@pytest.mark.parametrize(
    ("written", "fit", "other"),
    [
        ("main", "main", "Main"),
        ("/srv*", "/srv/data", "/home"),
        (["a*", "b?"], "b1", "c"),
        ("!main", "spare", "main"),
        (["/srv*", "!/srv/tmp"], "/srv/data", "/srv/tmp"),
        (["!a", "!b"], "c", "b"),
        ("[ab]1", "a1", "c1"),
        (5432, "5432", "5433"),
    ],
)
def test_matcher_takes_any_of_a_list_and_none_that_is_denied(written: object, fit: str, other: str) -> None:
    """Shell patterns, by the letter."""
    one = matcher("label", parse_patterns(written))
    assert one.fits(fit)
    assert not one.fits(other)


def test_matcher_of_what_is_not_there() -> None:
    """A label that is missing fits no pattern, and is none of those that must not be."""
    assert not matcher("mount", ("*",)).fits(None)
    assert matcher("mount", ("!/srv",)).fits(None)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (True, 'True is no pattern; write "name", "na*", "!na*" or a list of them'),
        ("!", '\'!\' is no pattern; write "name", "na*", "!na*" or a list of them'),
        ([1.5], '1.5 is no pattern; write "name", "na*", "!na*" or a list of them'),
        ([], "an empty list lets nothing through; leave the key out"),
    ],
)
def test_patterns_refuse_what_is_none(written: object, why: str) -> None:
    """Each with its sentence."""
    with pytest.raises(ValueError, match=rf"^{re.escape(why)}$"):
        parse_patterns(written)


def test_matchers_all_have_to_fit() -> None:
    """A series is meant when each of its labels is."""
    wanted = matchers({"target": ("main",), "mount": ("/srv*",)})
    assert fits_all(wanted, {"target": "main", "mount": "/srv/a"})
    assert not fits_all(wanted, {"target": "main", "mount": "/"})
    assert not fits_all(wanted, {"mount": "/srv/a"})
    assert [one.written for one in matchers({"a": ("!x", "y")})] == [("y", "!x")]


def test_literal_names_only_what_no_pattern_widens() -> None:
    """`main` is one target; `m*` may be any."""
    assert literal(matchers({"target": ("main", "!spare")}), "target") == ("main",)
    assert literal(matchers({"target": ("main", "m*")}), "target") == ()
    assert literal(matchers({"mount": ("/",)}), "target") == ()
