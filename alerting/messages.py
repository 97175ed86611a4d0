"""What a person is told, in words, before a channel gives it its form."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from toban.alerts import Notice, Severity, State, What
from toban.language import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A notice in one language. All of it is plain text that may hold anything: each channel escapes and shortens."""

    what: What
    severity: Severity
    state: State
    language: Language
    title: str  # one line: `CRITICAL main: connections 97 %`
    summary: str  # one sentence: what is wrong, the value, the threshold, since when
    facts: tuple[tuple[str, str], ...] = ()  # label and value: target, value, threshold, since, host, level …
    evidence: tuple[str, ...] = ()  # two lines, normalised: the root blocker, the top statement …
    commands: tuple[str, ...] = ()  # what to type next
    runbook: str = ""  # a URL or a path
    acknowledge_url: str = ""  # a page with a button; empty where no public address is configured
    footer: str = ""  # node, episode; `possible repeat`; `this is a drill`

    @property
    def text(self) -> str:
        """All of it as plain lines: the fallback of every channel."""
        facts = [f"{name}: {value}" for name, value in self.facts]
        links = [link for link in (self.runbook, self.acknowledge_url) if link]
        blocks = ([self.summary], facts, self.evidence, self.commands, links, [self.footer])
        return "\n\n".join("\n".join(block) for block in blocks if any(block))


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a channel is given: the notice, its words, and what it needs to keep an episode together."""

    notice: Notice
    message: Message
    node: str
    url: str = ""  # of the alert on the dashboard
    thread: Mapping[str, str] = field(default_factory=dict)
    """The receipt of the first notice of this episode that this channel has sent; empty for the first."""
    digest: tuple[Notice, ...] = ()
    """For a digest: the notices it stands for."""

    @property
    def key(self) -> str:
        """The idempotency key: the same over every retry."""
        return self.notice.key

    @property
    def possible_repeat(self) -> bool:
        """Whether it may have gone out before; what has no idempotency key at the provider says so."""
        return self.notice.perhaps_sent
