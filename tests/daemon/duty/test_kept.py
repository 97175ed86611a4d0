"""What the book gives besides what a start takes up."""

from pathlib import Path

import pytest

from daemon.duty.kept import dead_letters, evidence_kept, once_more
from history.book.book import book_path
from history.book.contract import Page
from tests.alerting.builders import an_alert
from tests.alerting.notices import a_notice
from tests.daemon.duties import written
from toban.alerts import Action, Standing, What

pytestmark = pytest.mark.integration


def test_evidence_is_found_again_and_its_absence_is_no_trouble(tmp_path: Path) -> None:
    """Of those that have some; and without a book, none."""
    state = tmp_path / "state.db"
    assert evidence_kept(book_path(state), ["ep000000"]) == {}
    written(state, Page(alerts=(an_alert(episode="ep000000"),), evidence={"ep000000": "{}"}))
    assert evidence_kept(book_path(state), ["ep000000", "other000"]) == {"ep000000": "{}"}


def test_dead_letters_are_found_by_their_beginning_and_put_back_under_their_key(tmp_path: Path) -> None:
    """As if they had never been tried."""
    state = tmp_path / "state.db"
    one, two = (a_notice(key=key, standing=Standing.DEAD, attempts=7, detail="no") for key in ("aa11", "bb22"))
    written(state, Page(alerts=(one.alert,), notices=(one, two)))
    (found,) = dead_letters(book_path(state), "aa")
    (again,) = once_more([found], 5.0)
    assert (again.key, again.standing, again.attempts, again.created_at) == ("aa11", Standing.PENDING, 0, 5.0)
    assert len(dead_letters(book_path(state), None)) == 2


def test_action_is_never_done_once_more() -> None:
    """It may have been done by half."""
    action = a_notice(what=What.ACTION, action=Action(kind="command", name="x"), standing=Standing.DEAD)
    assert list(once_more([action], 5.0)) == []
