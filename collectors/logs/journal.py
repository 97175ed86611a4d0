"""One log's memory: where each file was left, and all that was counted until there. Both are written in one breath."""

import json
from collections.abc import Callable, Iterator
from time import sleep

from collectors.checkpoints import Checkpoints
from collectors.logs.attempts import Attempts
from collectors.logs.following import Following
from collectors.logs.formats import CombinedFormat, Format, TextFormat
from collectors.logs.jsonlines import JsonFormat
from collectors.logs.position import Handle, Position
from collectors.logs.postgresql import form_of
from collectors.logs.reading import Reader
from collectors.logs.settings import Logins, LogsSettings
from collectors.logs.tally import Bucket, Tally, bucket_name

PAUSE_SECONDS = 0.00005  # after each block: the event loop gets the interpreter without having to ask for it
_FORMATS: dict[str, type[TextFormat | JsonFormat]] = {
    "text": TextFormat,
    "jsonl": JsonFormat,
    "combined": CombinedFormat,
}
_BUCKET = "bucket "


class Journal:
    """What is known of one log. Only one thread at a time is at work on it."""

    def __init__(self, settings: LogsSettings, owner: str, checkpoints: Checkpoints) -> None:
        self.settings = settings
        self.owner = owner
        self.checkpoints = checkpoints
        logins = settings.logins or Logins()
        self.tally = Tally(Attempts(logins.threshold, logins.within), settings.label_sets)
        self.following = Following(settings)
        self.reader = Reader(self.tally, self._form)
        self._gone: set[int] = set()
        self._written = ""

    def _form(self, origin: str) -> Format:
        if self.settings.format == "postgresql":
            return form_of(origin, self.settings)
        return _FORMATS[self.settings.format](self.settings)

    def recall(self) -> None:
        """Take up what was last written. Under another path, what is there now was there before us."""
        pieces = self.checkpoints.load(self.owner)
        if not pieces:
            return
        self.tally.recall(pieces["totals"])
        self.tally.attempts.recall(pieces["attempts"])
        for name, text in pieces.items():
            if name.startswith(_BUCKET):
                self.tally.buckets[int(name.removeprefix(_BUCKET))] = Bucket.read(text)
        found = json.loads(pieces["files"])
        self.following.positions = [Position.read(document) for document in found["positions"]]
        self.following.newest_ns = found["newest_ns"]
        self.following.passed = {(device, inode): offset for device, inode, offset in found.get("passed", ())}
        self.following.first = found["of"] != self._of

    @property
    def _of(self) -> list[str]:
        return [str(self.settings.path), *self.settings.exclude]

    def read_on(self, now: float, go_on: Callable[[], bool]) -> None:
        """Look where the files are, and read each on to its end, or until it is time."""
        following = self.following
        for position in following.look(now):
            self.reader.last_line(position, now)
        for position in self._in_order():
            if self._may_be_read(position):
                self._read(position, now, self._politely(go_on))
            if not go_on():
                break
        for position in list(following.settled(now)):
            self.reader.last_line(position, now)
        self._gone |= set(self.tally.forget(now))

    def _in_order(self) -> Iterator[Position]:
        """The oldest first: what was rotated away before what goes on."""
        waiting = sorted(self.following.positions, key=lambda p: (p.after is not None, p.live, p.changed_ns))
        yield from (position for position in waiting if not position.shadow and position.lost_at is None)

    def _may_be_read(self, position: Position) -> bool:
        """Whether it is open, and the copy it follows on is read to its end: its last line goes on here."""
        positions = self.following.positions if position.after else ()
        before = next((p for p in positions if p.key == position.after), None)
        if before is not None:
            if before.behind_bytes:
                return False
            position.carry, before.carry = before.carry, b""
            position.skipping, before.skipping = before.skipping, False
        position.after = None
        if position.compressed:
            return position.packed_ns != position.changed_ns
        return position.offset < position.size

    def _read(self, position: Position, now: float, go_on: Callable[[], bool]) -> None:
        if position.compressed:
            at_end = self.reader.read(position, now, go_on)
            position.packed_ns = position.changed_ns if at_end else -1
            return
        kept = position.handle
        try:
            position.handle = kept or Handle(position.path)
        except OSError:  # told when it is looked for the next time
            return
        try:
            if position.stands_in(position.handle):  # others were read since the look: it may have been cut meanwhile
                self.reader.read(position, now, go_on)
        except OSError as error:
            self.following.unreadable.append((position.path, error))
        position.handle = kept

    def _politely(self, go_on: Callable[[], bool]) -> Callable[[], bool]:
        def pause() -> bool:
            sleep(PAUSE_SECONDS)
            return go_on()

        return pause

    def write(self) -> None:
        """Positions and counts, together. What could not be written is written the next time."""
        files = json.dumps(
            {
                "of": self._of,
                "newest_ns": self.following.newest_ns,
                "passed": [[*key, offset] for key, offset in self.following.passed.items()],
                "positions": [position.document() for position in self.following.positions],
            }
        )
        totals, attempts = self.tally.text(), self.tally.attempts.text()
        if files + totals + attempts == self._written and not self.tally.changed and not self._gone:
            return
        pieces: dict[str, str | None] = {bucket_name(start): None for start in self._gone}
        pieces |= {"files": files, "totals": totals, "attempts": attempts} | dict(self.tally.pieces())
        self.checkpoints.save(self.owner, pieces)
        self._written = files + totals + attempts
        self.tally.changed.clear()
        self._gone.clear()
