"""What can be written under `alerts:`, as frozen models. Every key has a default that is safe."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from alerting.quiet import Window, cron_fault
from alerting.rules.bounds import Bound, parse_bound
from alerting.rules.functions import Function, Kind, parse_function
from alerting.rules.matching import parse_patterns
from toban.alerts import Severity
from toban.config import EMPTY_IS_DEFAULT, NONE_LISTED, Duration, Model, Name, Share, misfit
from toban.secrets import Secret

Preset = Literal["standard", "tuning", "dataset"]
MOST_SUMMARY_LETTERS = 500
_TEXT = {"type": "string"}


def _is_cron(line: str) -> str:
    fault = cron_fault(line)
    if fault:
        raise misfit(fault)
    return line


def _both(written: Any) -> Any:  # noqa: ANN401 - whatever YAML held
    return {"en": written, "ja": written} if isinstance(written, str) else written


def _one_or_many(patterns: tuple[str, ...]) -> str | list[str]:
    return patterns[0] if len(patterns) == 1 else list(patterns)


Cron = Annotated[str, AfterValidator(_is_cron)]
Threshold = Annotated[
    Bound,
    BeforeValidator(parse_bound),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*(>=?|<=?|==|!=)\s*\S+", "examples": ["> 80%", "< 10GB"]}),
]
Computation = Annotated[
    Function,
    BeforeValidator(parse_function),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["rate(5m)", "mean(5m)", "forecast(100%, 6h)", "absent(10m)"]}),
]
Patterns = Annotated[
    tuple[str, ...],
    BeforeValidator(parse_patterns),
    PlainSerializer(_one_or_many),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Channels = Annotated[tuple[Name, ...], NONE_LISTED]


class Timed(Model):
    """A part with a key `for`, which Python keeps for itself."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Said(Timed):
    """A part in which it matters whether a key is written: what is not is not shown either, so that it reads back."""

    @model_serializer(mode="wrap")
    def _only_what_is_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said = {field.alias or name for name, field in type(self).model_fields.items() if name in self.model_fields_set}
        return {key: value for key, value in handler(self).items() if key in said}


class Notify(Said):
    """Which channels hear of a severity first. What is not said here is the next wider section's to say."""

    info: Channels = ()
    warning: Channels = ()
    critical: Channels = ()

    def of(self, severity: Severity) -> tuple[str, ...] | None:
        """The channels of a severity; None where nothing is said of it."""
        channels: tuple[str, ...] = getattr(self, severity.value)
        return channels if severity.value in self.model_fields_set else None


class StepSettings(Model):
    """One rung of the ladder. Without `notify` it is every channel; without `severities` every one but info."""

    after: Duration
    notify: Channels = ()
    severities: Annotated[tuple[Severity, ...], NONE_LISTED] = ()


class QuietSettings(Timed):
    """A time of quiet that comes again and again. `match` names labels, rule, target or severity."""

    name: Name | None = None
    cron: Cron
    for_: Duration = Field(alias="for")
    match: Annotated[dict[str, Patterns], EMPTY_IS_DEFAULT] = Field(default_factory=dict)
    why: str = Field(default="", max_length=MOST_SUMMARY_LETTERS)


class AcknowledgementSettings(Timed):
    """How long an acknowledgement holds, and how much worse a value may grow meanwhile; null: for ever, however bad."""

    for_: Duration | None = Field(default=8 * 3600.0, alias="for")
    worse: Share | None = 0.2


class HeartbeatSettings(Model):
    """Who is called while all is well; whoever listens there raises the alarm when it stays silent."""

    url: Secret | None = None
    every: Duration = 60.0


class CommandSettings(Model):
    """A program that an alert may start: by its path, without a shell."""

    name: Name
    run: tuple[str, ...] = Field(min_length=1)
    timeout: Duration = 60.0

    @model_validator(mode="after")
    def _is_a_program(self) -> "CommandSettings":
        if not self.run[0].startswith("/"):
            raise misfit(f"{self.run[0]!r} is no absolute path; begin it with /", "run", 0)
        return self


class ActionSettings(Model):
    """One thing to do: a backup, a command or a maintenance task, by its name."""

    backup: Name | None = None
    command: Name | None = None
    maintenance: Name | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "ActionSettings":
        if len(self.named) != 1:
            raise misfit("is one thing to do: a backup, a command or a maintenance task")
        return self

    @property
    def named(self) -> list[tuple[str, str]]:
        """Its kind and name."""
        return [(kind, name) for kind, name in self if name is not None]


class Actions(Model):
    """What is done when an alert gets this severity; once in an episode."""

    info: Annotated[tuple[ActionSettings, ...], NONE_LISTED] = ()
    warning: Annotated[tuple[ActionSettings, ...], NONE_LISTED] = ()
    critical: Annotated[tuple[ActionSettings, ...], NONE_LISTED] = ()


class Summary(Model):
    """A rule's own sentence, in both languages."""

    en: str = Field(max_length=MOST_SUMMARY_LETTERS)
    ja: str = Field(default="", max_length=MOST_SUMMARY_LETTERS)


class Thresholds(Said):
    """What of a rule a preset may say otherwise."""

    info: Threshold | None = None
    warning: Threshold | None = None
    critical: Threshold | None = None
    clear: Threshold | None = None
    for_: Duration | None = Field(default=None, alias="for")
    keep: Duration | None = None
    notify: Annotated[Notify, EMPTY_IS_DEFAULT] = Notify()


class Presets(Said):
    """What the rule is under another preset than `standard`."""

    tuning: Annotated[Thresholds, EMPTY_IS_DEFAULT] = Thresholds()
    dataset: Annotated[Thresholds, EMPTY_IS_DEFAULT] = Thresholds()


class RuleSettings(Thresholds):
    """One rule. Under the name of a shipped one it replaces that; without a `metric` it is that one, changed."""

    name: Name
    enabled: bool = True
    metric: str = ""
    function: Computation | None = None
    where: Annotated[dict[str, Patterns], EMPTY_IS_DEFAULT] = Field(default_factory=dict)
    vanish: bool = Field(default=False, description="A series that is gone is well (an index was dropped).")
    symptom_of: Annotated[tuple[Name, ...], NONE_LISTED] = ()
    excused_by: Annotated[tuple[Name, ...], NONE_LISTED] = ()
    escalation: Annotated[tuple[StepSettings, ...], NONE_LISTED] = ()
    repeat: Duration | None = None
    actions: Annotated[Actions, EMPTY_IS_DEFAULT] = Actions()
    runbook: str = Field(default="", max_length=2000)
    summary: Annotated[
        Summary | None,
        BeforeValidator(_both),
        WithJsonSchema({"type": ["string", "object", "null"], "properties": {"en": _TEXT, "ja": _TEXT}}),
    ] = None
    presets: Annotated[Presets, EMPTY_IS_DEFAULT] = Presets()

    @property
    def said(self) -> dict[str, Any]:
        """What is written of it, and not left to its default."""
        return {key: getattr(self, key) for key in self.model_fields_set}

    @property
    def bounds(self) -> dict[Severity, Bound]:
        """Its thresholds, the mildest first."""
        every = ((Severity.INFO, self.info), (Severity.WARNING, self.warning), (Severity.CRITICAL, self.critical))
        return {severity: bound for severity, bound in every if bound is not None}

    @model_validator(mode="after")
    def _has_a_threshold(self) -> "RuleSettings":
        looks_for_nothing = self.function is not None and self.function.kind is Kind.ABSENT
        if self.metric and not self.bounds and not looks_for_nothing:
            raise misfit("has no threshold; write info, warning or critical")
        return self


LADDER = (StepSettings(after=900.0), StepSettings(after=1800.0), StepSettings(after=3600.0))


class Alerts(Model):
    """What is judged, who is told, and how it climbs."""

    defaults: bool = Field(default=True, description="The rules that Toban ships.")
    preset: Preset = Field(default="standard", description="Whose thresholds the shipped rules take.")
    notify: Annotated[Notify, EMPTY_IS_DEFAULT] = Notify()
    acknowledgement: Annotated[AcknowledgementSettings, EMPTY_IS_DEFAULT] = AcknowledgementSettings()
    repeat: Duration | None = 4 * 3600.0
    escalation: Annotated[tuple[StepSettings, ...], NONE_LISTED] = LADDER
    quiet: Annotated[tuple[QuietSettings, ...], NONE_LISTED] = ()
    heartbeat: Annotated[HeartbeatSettings, EMPTY_IS_DEFAULT] = HeartbeatSettings()
    commands: Annotated[tuple[CommandSettings, ...], NONE_LISTED] = ()
    rules: Annotated[tuple[RuleSettings, ...], NONE_LISTED] = ()

    @property
    def windows(self) -> tuple[Window, ...]:
        """The quiet times as they are judged."""
        return tuple(
            Window(
                name=quiet.name or f"{place}",
                cron=quiet.cron,
                for_seconds=quiet.for_,
                match=tuple((name, pattern) for name, patterns in quiet.match.items() for pattern in patterns),
                why=quiet.why,
            )
            for place, quiet in enumerate(self.quiet, 1)
        )
