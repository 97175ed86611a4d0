from tests.alerting.builders import HOUR, MINUTE, NewScene, a_rule, a_verdict, an_alert
from tests.alerting.builders import a_notice as notice_of
from toban.alerts import Alert, Data, State, What
from toban.outcomes import Failure


def taken(answer: Alert | Failure) -> Alert:
    """The alert that an order gave back."""
    assert isinstance(answer, Alert), answer
    return answer


async def test_alert_is_acknowledged_by_any_beginning_of_its_name(new_scene: NewScene) -> None:
    """In capitals too; whoever knows of the alert hears of it, and the ladder rests."""
    scene = new_scene()
    await scene.judged(0.9)
    alert = taken(scene.desk.acknowledge(scene.alert.episode[:3].upper(), who="kim", note="on\nit"))
    assert (alert.state, alert.note) == (State.ACKNOWLEDGED, r"on\nit")
    assert await scene.told() == [("acknowledged", "mail")]
    assert await scene.after(7 * HOUR) == []
    assert await scene.after(HOUR) == [("lapsed", "mail")]
    assert await scene.after(15 * MINUTE) == [("escalated", "slack")]


async def test_orders_that_cannot_be_carried_out_say_why(new_scene: NewScene) -> None:
    """Nothing of that name, several, only pending."""
    scene = new_scene(a_rule(for_seconds=60))
    answers = [scene.desk.acknowledge("zzz", who="kim"), scene.desk.resolve("", who="kim")]
    await scene.judged(0.9)
    answers.append(scene.desk.acknowledge(scene.alert.episode, who="kim"))
    episode = scene.alert.episode
    details = [answer.detail for answer in answers if isinstance(answer, Failure)]
    assert details == [
        "no open alert begins with 'zzz'",
        "no open alert begins with ''",
        f"{episode} is only pending: nobody was told of it yet",
    ]


async def test_beginning_of_several_names_is_refused(new_scene: NewScene) -> None:
    """Which of them is meant, nobody guesses."""
    scene = new_scene()
    for number in range(33):
        scene.desk.judged([a_verdict(0.9, labels=(("n", str(number)),))])
    await scene.told()
    names = [alert.episode for alert in scene.desk.active()]
    letter = next(name[0] for name in names if sum(other[0] == name[0] for other in names) > 1)
    answer = scene.desk.acknowledge(letter, who="kim")
    assert isinstance(answer, Failure)
    assert answer.detail.startswith(f"'{letter}' begins ")
    assert answer.hint == "type more of it"


async def test_alert_resolved_by_hand_comes_back_as_another_where_it_still_is(new_scene: NewScene) -> None:
    """The desk believes people, and then the values; a hand's resolution is no flap."""
    scene = new_scene()
    await scene.judged(0.9)
    first = taken(scene.desk.resolve(scene.alert.episode, who="kim", note="a mistake"))
    assert (first.state, first.reason) == (State.RESOLVED, "resolved by kim: a mistake")
    assert await scene.told() == [("resolved", "mail")]
    assert await scene.judged(0.9) == [("fired", "mail")]
    assert scene.alert.episode != first.episode
    assert scene.alert.flaps == ()


async def test_mark_is_kept_for_open_alerts_and_for_those_that_are_over(new_scene: NewScene) -> None:
    """An open one by its beginning, one that is over by its whole name."""
    scene = new_scene()
    await scene.judged(0.9)
    episode = scene.alert.episode
    assert scene.desk.mark(episode[:4], "false", who="kim") == episode
    assert scene.desk.mark("0123ABCD", "real", who="kim") == "0123abcd"
    assert isinstance(scene.desk.mark("0123", "real", who="kim"), Failure)
    assert isinstance(scene.desk.mark(episode, "maybe", who="kim"), Failure)
    await scene.told()
    assert scene.book.pages[-1].marks == {episode: ("false", "kim"), "0123abcd": ("real", "kim")}


async def test_notice_that_was_overtaken_is_not_sent(new_scene: NewScene) -> None:
    """Asked just before each send: resolved or acknowledged meanwhile."""
    scene = new_scene()
    await scene.judged(0.9)
    (fired,) = scene.dispatcher.offered
    assert scene.desk.overtaken(fired) == ""
    scene.desk.acknowledge(scene.alert.episode, who="kim")
    acknowledged = notice_of(scene.alert, What.ACKNOWLEDGED)
    assert scene.desk.overtaken(fired) == "acknowledged by kim meanwhile"
    assert scene.desk.overtaken(acknowledged) == ""
    assert await scene.told() == [("acknowledged", "mail")]
    await scene.after(8 * HOUR)
    assert scene.desk.overtaken(acknowledged) == "the acknowledgement has lapsed meanwhile"
    scene.desk.resolve(scene.alert.episode, who="kim")
    assert scene.desk.overtaken(fired) == "resolved meanwhile"
    assert scene.desk.overtaken(notice_of(an_alert(), What.RESOLVED)) == ""
    assert scene.desk.overtaken(notice_of(an_alert(test=True))) == ""
    assert await scene.told() == [("resolved", "mail")]


async def test_word_of_missing_data_is_overtaken_when_it_comes_again(new_scene: NewScene) -> None:
    """While it is missing the word is due."""
    scene = new_scene()
    await scene.judged(0.9)
    await scene.judged(0.9, data=Data.NONE)
    assert await scene.after(2 * MINUTE) == [("no_data", "mail")]
    missing = scene.dispatcher.offered[-1]
    assert scene.desk.overtaken(missing) == ""
    await scene.judged(0.9)
    assert scene.desk.overtaken(missing) == "it is heard of again"
