"""From a notice to what a person reads, in English or Japanese: plain text, and nothing that a channel must know."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from alerting.evidence import lock_tree_in, two_lines
from alerting.lines import one_line
from alerting.messages import Message
from alerting.wording import many, single
from alerting.wording.telling import Telling, stamp
from alerting.wording.templates import own_sentence
from toban.alerts import Notice, What
from toban.catalogue import say
from toban.language import Language

__all__ = ["one_line", "own_sentence", "stamp", "words"]


def words(  # noqa: PLR0913 - what a message is made of, each named at the call
    notice: Notice,
    *,
    language: Language,
    node: str,
    zone: tzinfo,
    rule_summary: Mapping[Language, str] | None = None,
    evidence: str | None = None,
    acknowledge_url: str = "",
    digest: Sequence[Notice] = (),
) -> Message:
    """The message of a notice. `evidence` is the JSON document kept with the alert; for UNDELIVERED `digest` waits."""
    telling = Telling(notice=notice, language=language, node=node, zone=zone)
    if notice.what is What.DIGEST:
        return many.digest(telling, digest)
    if notice.what is What.UNDELIVERED:
        return many.undelivered(telling, tuple(digest))
    if notice.what is What.TEST:
        return _test(telling)
    alert = notice.alert
    rule = f"{alert.key.rule} {alert.metric}"
    return Message(
        what=notice.what,
        severity=alert.severity,
        state=alert.state,
        language=language,
        title=single.title(telling),
        summary=single.summary(telling, rule_summary or {}),
        facts=single.facts(telling),
        evidence=two_lines(evidence, rule, language) if evidence and alert.open else (),
        commands=single.commands(telling, locked=bool(evidence) and lock_tree_in(evidence or "")),
        runbook=alert.runbook,
        acknowledge_url=acknowledge_url if alert.open and not alert.acknowledged_by else "",
        footer=single.footer(telling),
    )


def _test(telling: Telling) -> Message:
    language, node, alert = telling.language, one_line(telling.node), telling.alert
    return Message(
        what=telling.notice.what,
        severity=alert.severity,
        state=alert.state,
        language=language,
        title=one_line(say("alert.title.test", language, channel=one_line(telling.notice.channel))),
        summary=say("alert.summary.test", language, node=node),
        footer=telling.footer(say("alert.footer.node", language, node=node)),
    )
