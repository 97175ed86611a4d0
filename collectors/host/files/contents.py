"""What configuration files hold: which have changed since the last look, and which have a secret left in them."""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.host.files.left_secrets import left_secrets
from collectors.host.files.permissions import is_key
from collectors.host.files.walking import File, read_start
from toban.events import Event, EventKind
from toban.findings import Finding, Severity
from toban.printable import printable

MOST_FILES = 500
MOST_BYTES = 1024 * 1024  # of one file
MOST_SECRETS = 100  # findings; all are counted
SHORT = 12  # letters of a hash that people are shown


@dataclass(slots=True, kw_only=True)
class Contents:
    """What was read: the hash of each file, the secrets left in them, and what could not be read."""

    hashes: dict[str, str] = field(default_factory=dict)
    secrets: list[Finding] = field(default_factory=list)
    secrets_count: int = 0
    refused: int = 0
    too_large: int = 0
    not_reached: int = 0


def read_contents(files: Sequence[File], *, secrets: bool, is_time_up: Callable[[], bool]) -> Contents:
    """Read every file once, as long as there is time. What is larger than a configuration file is left out."""
    found = Contents()
    for number, file in enumerate(files):
        if is_time_up():
            found.not_reached = len(files) - number
            break
        try:
            content = read_start(file.path, MOST_BYTES)
        except FileNotFoundError:
            continue
        except OSError:
            found.refused += 1
            continue
        if len(content) > MOST_BYTES:
            found.too_large += 1
            continue
        found.hashes[file.path] = hashlib.sha256(content).hexdigest()
        if secrets and not is_key(os.path.basename(file.path)):  # noqa: PTH119 - a text like the others
            _note_secrets(found, file, content)
    return found


def _note_secrets(found: Contents, file: File, content: bytes) -> None:
    for left in left_secrets(content):
        found.secrets_count += 1
        if len(found.secrets) < MOST_SECRETS:
            found.secrets.append(
                Finding(
                    severity=Severity.CRITICAL if file.mode & stat.S_IROTH else Severity.WARNING,
                    subject=printable(f"{file.path}:{left.line}"),
                    what=f"secret_{left.kind}",
                    values={"mode": f"{file.mode:04o}"},
                )
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The hashes of the last look, for which path they were taken, and when something last changed."""

    path: str
    hashes: Mapping[str, str]
    changed_at: float | None = None

    def as_text(self) -> str:
        """To be remembered."""
        return json.dumps({"path": self.path, "hashes": dict(self.hashes), "changed_at": self.changed_at})


def known_from(text: str | None, path: str) -> Known | None:
    """What was remembered, if it was of this path; another path's files say nothing of these."""
    try:
        found = Known(**json.loads(text or "null"))
    except (TypeError, ValueError):
        return None
    return found if found.path == path and isinstance(found.hashes, dict) else None


def changes(known: Known, now: Contents, at: float) -> tuple[Known, list[Event]]:
    """What was changed, added or removed since. What could not be read this time is taken to be as it was."""
    gone = {path for path in known.hashes if path not in now.hashes and not os.path.lexists(path)}
    last = max(known.hashes, default="") if len(known.hashes) >= MOST_FILES else None
    moved_up = {path for path in now.hashes if last is not None and path > last}  # others left, and made room for it
    after = {path: text for path, text in known.hashes.items() if path not in gone} | now.hashes
    differing = sorted(
        path for path in (known.hashes.keys() | after.keys()) - moved_up if known.hashes.get(path) != after.get(path)
    )
    events = [
        Event(
            kind=EventKind.FILE_CHANGED,
            subject=printable(path),
            before=known.hashes.get(path, "")[:SHORT],
            after=after.get(path, "")[:SHORT],
            at=at,
        )
        for path in differing
    ]
    after = dict(sorted(after.items())[:MOST_FILES])
    return Known(path=known.path, hashes=after, changed_at=at if events else known.changed_at), events
