"""Files and folders that somebody named: how much, how old, how large, what changed, and what is open to whom."""

import glob
import heapq
import itertools
import re
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator

from collectors.contract import Collector, EntrySettings, Kind
from collectors.host.files.contents import MOST_FILES, Contents, Known, changes, known_from, read_contents
from collectors.host.files.permissions import wrong_permissions
from collectors.host.files.walking import MOST_NOTED, File, Sums, Walk, matching
from collectors.host.machine import HostMachine
from toban.clock import Clock
from toban.config import Duration, Size, misfit
from toban.events import Event
from toban.findings import Finding, Severity
from toban.memories import Memory
from toban.outcomes import Gap, Reason
from toban.printable import printable
from toban.samples import Batch, Findings, Metric, Unit
from toban.units import size_text

MOST_STARTS = 10_000
SHARE_OF_THE_TURN = 0.7  # of its time; the rest is for coming back
MB = 1024**2
_OCTAL = re.compile(r"0?[0-7]{3}")
_ENTRY = ("entry",)

SIZE = Metric(
    name="toban_files_size_bytes", help="Size of the files together", unit=Unit.BYTES, labels=_ENTRY, kept=True
)
ALLOCATED = Metric(
    name="toban_files_allocated_bytes", help="Space the files take on their disks", unit=Unit.BYTES, labels=_ENTRY
)
FILES = Metric(name="toban_files", help="Number of files", labels=_ENTRY, kept=True)
NEWEST = Metric(
    name="toban_files_newest_age_seconds",
    help="Time since the newest file was written",
    unit=Unit.SECONDS,
    labels=_ENTRY,
)
OLDEST = Metric(
    name="toban_files_oldest_age_seconds",
    help="Time since the oldest file was written",
    unit=Unit.SECONDS,
    labels=_ENTRY,
)
LARGE = Metric(name="toban_files_large", help="Files that are larger than `large`", labels=_ENTRY)
CHANGED = Metric(
    name="toban_files_changed_timestamp_seconds",
    help="When a file was last seen changed, added or removed, in seconds since 1970; absent before the first time",
    unit=Unit.SECONDS,
    labels=_ENTRY,
)
PERMISSIONS = Metric(
    name="toban_files_wrong_permissions",
    help="Files and folders that are open to others than they should",
    labels=_ENTRY,
)
SECRETS = Metric(name="toban_files_secrets", help="Lines that look as if they held a secret", labels=_ENTRY)


def _is_pattern(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise misfit("is no absolute path; begin it with /")
    return path


def _read_mode(mode: Any) -> Any:  # noqa: ANN401 - whatever YAML held
    """YAML reads 0640 as a number to the base of eight; people mean what they wrote."""
    return f"{mode:04o}" if isinstance(mode, int) and not isinstance(mode, bool) else mode


def _is_mode(mode: str) -> str:
    if not _OCTAL.fullmatch(mode):
        raise misfit('is no file mode; write "0640"')
    return mode


class FilesSettings(EntrySettings):
    """Which files, and what of them is looked at. `mode` is the most that is allowed."""

    every: Duration = 600.0
    timeout: Duration = 30.0
    path: Annotated[str, AfterValidator(_is_pattern)]
    match: tuple[str, ...] = ("*",)
    large: Size = 100 * MB
    changes: bool = False
    secrets: bool = False
    mode: Annotated[str, BeforeValidator(_read_mode), AfterValidator(_is_mode)] | None = None
    owner: str | None = None


@dataclass(slots=True, kw_only=True)
class Survey:
    """One look at everything, under way over as many turns as it takes."""

    walk: Walk | None = None
    files: list[File] = field(default_factory=list)
    files_count: int = 0
    wrong: list[Finding] = field(default_factory=list)
    wrong_count: int = 0
    contents: Contents | None = None
    beyond: bool = False  # the pattern names more places than are looked at

    @property
    def sums(self) -> Sums:
        """What was seen so far."""
        return self.walk.sums if self.walk else Sums()


class FilesCollector(Collector[HostMachine, FilesSettings]):
    """One entry of `files`. What a turn does not reach the next one does; until then the last survey stands."""

    name = "files"
    purpose = "How large and how old files are, which logs grow too large, what was changed, and what is open to whom."
    kind = Kind.HOST
    listed = True
    lane = "files"
    metrics: ClassVar = (SIZE, ALLOCATED, FILES, NEWEST, OLDEST, LARGE, CHANGED, PERMISSIONS, SECRETS)
    settings_model = FilesSettings

    def __init__(self, source: HostMachine, settings: FilesSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._survey = Survey()
        self._complete: Findings | None = None
        self._known: Known | None = None

    async def collect(self) -> Findings:
        """Look on from where the last turn ended."""
        remembers = self.settings.changes and await self.recollect(self._take)  # else nothing is compared
        work = partial(self._go_on, self.clock.monotonic() + self.settings.timeout * SHARE_OF_THE_TURN)
        ended = await self.source.blocking.run(self.title, work, timeout_seconds=self.settings.timeout)
        if not ended:
            return self._interrupted()
        survey, self._survey = self._survey, Survey()
        if survey.walk is None:
            detail = f"no file or folder is called {printable(self.settings.path)}, or Toban's user may not see it"
            return Findings(samples=(), gaps=(Gap(what=self.title, reason=Reason.NOT_FOUND, detail=detail),))
        events, remembered = self._compare(survey) if remembers else ([], [])
        self._complete = Findings(
            samples=self._samples(survey),
            gaps=tuple(self._gaps(survey)),
            rows=tuple(itertools.chain(survey.wrong, self._large(survey), *_secrets(survey))),
        )
        return Findings(
            samples=self._complete.samples,
            gaps=self._complete.gaps,
            rows=(*self._complete.rows, *events, *remembered),
        )

    def _take(self, body: str | None) -> None:
        self._known = known_from(body, self.settings.path)

    def _go_on(self, deadline: float) -> bool:
        """In a thread: whether the survey came to its end."""

        def is_time_up() -> bool:
            return self.clock.monotonic() >= deadline

        survey = self._survey
        if survey.walk is None:
            starts = heapq.nsmallest(MOST_STARTS + 1, glob.iglob(self.settings.path))  # noqa: PTH207 - a pattern from the root
            if not starts:
                return True
            survey.beyond = len(starts) > MOST_STARTS
            del starts[MOST_STARTS:]
            survey.walk = Walk(
                starts,
                match=matching(self.settings.match),
                large_bytes=self.settings.large,
                each=partial(self._meet, survey),
            )
        if not survey.walk.go_on(is_time_up):
            return False
        if self.settings.changes or self.settings.secrets:
            _keep_first(survey.files)
            survey.contents = read_contents(survey.files, secrets=self.settings.secrets, is_time_up=is_time_up)
        return True

    def _meet(self, survey: Survey, file: File) -> None:
        mode = None if self.settings.mode is None else int(self.settings.mode, 8)
        found = wrong_permissions(file, mode=mode, owner=self.settings.owner)
        if found is not None:
            survey.wrong_count += 1
            if len(survey.wrong) < MOST_NOTED:
                survey.wrong.append(found)
        if not file.is_folder:
            survey.files_count += 1
            survey.files.append(file)
            if len(survey.files) >= 2 * MOST_FILES:
                _keep_first(survey.files)

    def _compare(self, survey: Survey) -> tuple[list[Event], list[Memory]]:
        if survey.contents is None:
            return [], []
        before, events = self._known, list[Event]()
        if before is None:
            self._known = Known(path=self.settings.path, hashes=survey.contents.hashes)
        else:
            self._known, events = changes(before, survey.contents, self.clock.now())
        remembered = [] if self._known == before else [Memory(name=self.title, body=self._known.as_text())]
        return events, remembered

    def _samples(self, survey: Survey) -> tuple[Any, ...]:
        now, sums, entry = self.clock.now(), survey.sums, self.settings.name
        batch = Batch(now)
        batch.add(SIZE, sums.size_bytes, entry)
        batch.add(ALLOCATED, sums.allocated_bytes, entry)
        batch.add(FILES, sums.files, entry)
        batch.add(NEWEST, None if sums.newest_at is None else max(0.0, now - sums.newest_at), entry)
        batch.add(OLDEST, None if sums.oldest_at is None else max(0.0, now - sums.oldest_at), entry)
        batch.add(LARGE, sums.large_count, entry)
        batch.add(PERMISSIONS, survey.wrong_count, entry)
        batch.add(CHANGED, self._known.changed_at if self._known else None, entry)
        if self.settings.secrets and survey.contents is not None:
            batch.add(SECRETS, survey.contents.secrets_count, entry)
        return batch.samples

    def _large(self, survey: Survey) -> list[Finding]:
        return [
            Finding(
                severity=Severity.INFO,
                subject=printable(file.path),
                what="file_large",
                values={"size": size_text(file.size_bytes), "limit": size_text(self.settings.large)},
            )
            for file in survey.sums.large
        ]

    def _gaps(self, survey: Survey) -> list[Gap]:
        """Everything that was left out, each with its reason."""
        sums, contents = survey.sums, survey.contents or Contents()
        wanted = survey.files_count if survey.contents is not None else 0
        what = {
            "folders and files": (Reason.PRIVILEGE, sums.refused, "Toban's user may not see them"),
            "files that fail": (Reason.UNSUPPORTED, sums.failed, "their file system refuses to tell of them"),
            "other file systems": (
                Reason.UNSUPPORTED,
                sums.other_file_systems,
                "the walk stays in the one it began in",
            ),
            "places": (Reason.UNSUPPORTED, int(survey.beyond), f"the pattern names more than {MOST_STARTS}"),
            "contents": (Reason.PRIVILEGE, contents.refused, "Toban's user may not read them"),
            "contents of large files": (Reason.UNSUPPORTED, contents.too_large, "they are larger than 1 MB"),
            "contents of many files": (Reason.UNSUPPORTED, max(0, wanted - MOST_FILES), f"{MOST_FILES} files are read"),
            "contents in time": (Reason.TIMEOUT, contents.not_reached, "the turn's time ran out"),
        }
        return [
            Gap(what=f"{name} of {self.settings.name}", reason=reason, count=count, detail=detail, hint=_hint(reason))
            for name, (reason, count, detail) in what.items()
            if count
        ]

    def _interrupted(self) -> Findings:
        sums, last = self._survey.sums, self._complete or Findings(samples=())
        reached = f"reached so far: {sums.files} files, {size_text(sums.size_bytes)}; the next turn goes on from there"
        gap = Gap(
            what=f"survey of {self.settings.name}",
            reason=Reason.TIMEOUT,
            detail=reached,
            hint="raise its `timeout`, or narrow its `path`",
        )
        return Findings(samples=last.samples, gaps=(*last.gaps, gap), rows=last.rows)


def _keep_first(files: list[File]) -> None:
    """By name: whichever the file system tells of first differs from day to day, and none of them has changed."""
    files.sort(key=lambda file: file.path)
    del files[MOST_FILES:]


def _secrets(survey: Survey) -> list[list[Finding]]:
    return [] if survey.contents is None else [survey.contents.secrets]


def _hint(reason: Reason) -> str:
    hints = {
        Reason.PRIVILEGE: "let Toban's user read them, or narrow `path`",
        Reason.TIMEOUT: "raise `timeout`, or narrow `path`",
    }
    return hints.get(reason, "narrow `path` or `match`")
