"""What a channel is: the frame that every file of this folder fills."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import Field

from alerting.messages import Letter
from alerting.web import Web
from toban.alerts import Delivery, Outcome
from toban.clock import Clock
from toban.config import Duration, Model
from toban.secrets import Secret


class ChannelSettings(Model):
    """What can be said of any channel under `channels:`; a channel's own settings extend it."""

    kind: str
    language: Literal["en", "ja"] | None = Field(default=None, description="Of the messages; else the daemon's.")
    timeout: Duration = 20.0
    retry_for: Duration = Field(default=86400.0, description="How long a notice is tried before it is given up.")
    digest_above: int = Field(default=20, ge=1, description="So many waiting notices become one digest.")


SettingsT = TypeVar("SettingsT", bound=ChannelSettings)


class Channel(ABC, Generic[SettingsT]):
    """One way to reach people. It only sends: queue, pace, retries and the outbox are the dispatcher's.

    `send` returns a `Delivery` for everything that can be expected, a hanging or lying receiver among it; the
    dispatcher bounds it by `settings.timeout` and takes a TimeoutError for RETRY.
    """

    kind: ClassVar[str]
    settings_model: ClassVar[type[ChannelSettings]]
    per_second: ClassVar[float] = 1.0
    """How many messages a second the provider likes; the dispatcher's token bucket."""
    burst: ClassVar[int] = 5
    keyed: ClassVar[bool] = False
    """Whether the provider knows an idempotency key; where it does not, a possible repeat is said in the message."""
    acks: ClassVar[bool] = True
    """Whether it wants to hear of acknowledgements, resolutions and the like, or of new trouble alone (SMS, voice)."""
    answers_apart: ClassVar[bool] = False
    """Whether an answer has to name the receipt of what it answers: in a digest it would leave an incident open."""
    refresh_seconds: ClassVar[float] = 0.0
    """How often it wants to hear of everything that is open, by `refresh`, all at once; 0: never."""

    def __init__(self, name: str, settings: SettingsT, *, web: Web, clock: Clock) -> None:
        self.name = name
        self.settings = settings
        self.web = web
        self.clock = clock

    @abstractmethod
    async def send(self, letter: Letter) -> Delivery:
        """Try once."""

    async def refresh(self, letters: Sequence[Letter]) -> Delivery:  # noqa: ARG002 - most channels want none
        """Tell again of everything that is open. Nothing of it is news, and nothing of it is kept in the outbox."""
        return Delivery(outcome=Outcome.SENT)

    async def close(self) -> None:
        """Part from whatever is open."""

    @classmethod
    def secrets(cls, settings: Any) -> tuple[Secret, ...]:  # noqa: ANN401 - of any channel
        """Every secret that the settings hold, to be blotted out of the log."""
        return tuple(_secrets_in(value for _, value in settings))


def _secrets_in(values: Any) -> Iterator[Secret]:  # noqa: ANN401 - whatever a setting holds
    for value in values:
        if isinstance(value, Secret):
            yield value
        elif isinstance(value, tuple | list):
            yield from _secrets_in(value)
        elif isinstance(value, Mapping):
            yield from _secrets_in(value.values())
