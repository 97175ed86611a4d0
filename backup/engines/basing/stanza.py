"""pgBackRest asked: what it has, what it finds wrong, which WAL lies in its archive. Its exit status proves nothing.

Its `verify` ends with 0 whatever it has found, and says `ok` over a hole in the WAL. So its words are read, and the
WAL is counted by ourselves.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from backup.children import Children, Command, Output
from backup.errors import BackupError
from backup.programs import Programs, account, becoming
from backup.wal.chain import File, Listing, history_of
from backup.wal.segments import is_segment
from toban.backups import Check, Trouble

PROGRAM: Final = "pgbackrest"
ASKING_SECONDS: Final = 300.0
VERIFY_SECONDS: Final = 12 * 3600.0
EXPIRE_SECONDS: Final = 3600.0
VARIABLES: Final = "PGBACKREST_"  # its own, which may name its configuration
CONFIGURATION: Final = "PGBACKREST_CONFIG"
FINE: Final = (0, 2)  # of a stanza's status: all is well; there is no backup yet
MOST_LISTING_BYTES: Final = 256 * 1024 * 1024
Key = tuple[int, int]  # a server as one of its repositories has it
_SEGMENT: Final = re.compile(r"([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?")
_HISTORY: Final = re.compile(r"([0-9A-F]{8})\.history")
_COUNTS: Final = re.compile(r"(missing|checksum invalid|size invalid|other): (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One backup as pgBackRest has it."""

    label: str
    type: str
    prior: str | None
    start_segment: str
    start_lsn: str
    stop_lsn: str
    source_bytes: int
    repository_bytes: int
    version: str
    archive: str  # the id of the archive that its WAL is in
    system_identifier: str
    has_errors: bool
    repository: int  # of those that it knows


class Stanza:
    """One server as pgBackRest knows it."""

    def __init__(self, name: str, children: Children, programs: Programs) -> None:
        self.name = name
        self._children = children
        self._programs = programs

    def words(self, *more: str) -> tuple[str, ...]:
        """It, told which server is meant and where its configuration is."""
        configuration = os.environ.get(CONFIGURATION)
        named = (f"--config={configuration}",) if configuration else ()
        return (str(self._programs.other(PROGRAM)), *named, f"--stanza={self.name}", *more)

    async def run(self, *more: str, within_seconds: float, on_line: Any = None) -> Output:  # noqa: ANN401 - as Children has it
        """Run it as the server's account, which the repository is of."""
        environment = {name: value for name, value in os.environ.items() if name.startswith(VARIABLES)}
        words = self.words(*more)
        command = Command(words=(*becoming(account()), *words), environment=environment)
        output = await self._children.run(
            command, within_seconds=within_seconds, on_line=on_line, most_output_bytes=MOST_LISTING_BYTES
        )
        itself = replace(command, words=words)  # whoever reads why it failed wants its name
        return replace(output, ended=tuple(replace(one, command=itself) for one in output.ended))

    async def taken(self) -> tuple[Taken, ...]:
        """Its backups, oldest first."""
        output = await self.run("--output=json", "info", within_seconds=ASKING_SECONDS)
        return read_info(output.checked(f"stanza {self.name}").text, self.name)

    async def verified(self, taken: Taken) -> tuple[Check, ...]:
        """Have it read every file of its repository, and read what it says of one backup."""
        output = await self.run("--output=text", "--verbose", "verify", within_seconds=VERIFY_SECONDS)
        checks = read_verification(output.text, taken)
        if not output.ok:  # as newer versions end where they found something; what they found is in their words
            checks = (*checks, Check(name="verify", ok=None, detail=output.ended[0].why))
        return checks

    async def expire(self, taken: Taken, fulls_left: int) -> None:
        """Have it let go of one backup, of those that build on it, and of the WAL from before the oldest that is left.

        Of WAL it lets go by a number of full backups alone; by its own it would wait for as many as it may keep.
        """
        kept = f"--repo{taken.repository}-retention-archive"
        of_wal = (f"{kept}={fulls_left}", f"{kept}-type=full") if fulls_left else ()
        words = (f"--repo={taken.repository}", f"--set={taken.label}", *of_wal, "--log-level-stderr=warn", "expire")
        output = await self.run(*words, within_seconds=EXPIRE_SECONDS)
        output.checked(f"stanza {self.name}")

    async def listing(self, archive: str, segment_bytes: int, system_identifier: str) -> Listing:
        """The WAL that lies in its archive."""
        path = f"archive/{self.name}/{archive}"
        output = await self.run("--recurse", "--output=json", "repo-ls", path, within_seconds=ASKING_SECONDS)
        entries: Mapping[str, Any] = json.loads(output.checked(f"stanza {self.name}").text)
        segments, histories = {}, {}
        for entry, about in entries.items():
            name = entry.rpartition("/")[2]
            segment, history = _SEGMENT.fullmatch(name), _HISTORY.fullmatch(name)
            if segment is not None and is_segment(segment[1]):
                at, size = float(about.get("time", 0)), int(about.get("size", 0))
                segments[segment[1]] = File(name=name, size_bytes=size, modified_at=at)
            elif history is not None:
                found = await self.run("repo-get", f"{path}/{entry}", within_seconds=ASKING_SECONDS)
                histories[int(history[1], 16)] = history_of(found.checked(entry).text)
        return Listing(
            segments=segments,
            histories=histories,
            segment_bytes=segment_bytes,
            system_identifier=system_identifier,
        )


def read_info(text: str, stanza: str) -> tuple[Taken, ...]:
    """What `info --output=json` says."""
    try:
        found = next((one for one in json.loads(text) if one["name"] == stanza), None)
        if found is None:
            raise _unknown(stanza, "pgBackRest does not know it")
        status = found["status"]
        if status["code"] not in FINE:
            raise _unknown(stanza, str(status["message"]))
        servers = {(one["id"], one["repo-key"]): one for one in found["db"]}
        archives = {(one["database"]["id"], one["database"]["repo-key"]): one["id"] for one in found["archive"]}
        running = (one for one in found["backup"] if one["archive"]["start"])  # of a stopped server there is no WAL
        return tuple(_taken(one, servers, archives) for one in running)
    except (ValueError, KeyError, TypeError) as error:
        why = f"pgBackRest said something else than was expected: {type(error).__name__} {error}"
        raise BackupError(f"stanza {stanza}", why) from error


def _taken(one: Mapping[str, Any], servers: Mapping[Key, Any], archives: Mapping[Key, str]) -> Taken:
    of = one["database"]["id"], one["database"]["repo-key"]
    return Taken(
        label=one["label"],
        type=one["type"],
        prior=one["prior"],
        start_segment=one["archive"]["start"],
        start_lsn=one["lsn"]["start"],
        stop_lsn=one["lsn"]["stop"],
        source_bytes=int(one["info"]["size"]),
        repository_bytes=int(one["info"]["repository"]["delta"]),
        version=one["backrest"]["version"],
        archive=archives[of],
        system_identifier=str(servers[of]["system-id"]),
        has_errors=bool(one.get("error")),
        repository=of[1],
    )


def read_verification(text: str, taken: Taken) -> tuple[Check, ...]:
    """What `verify --output=text --verbose` says of one backup and of the archive of its WAL.

    Its own verdict is on all that there is: what is wrong with others damages nothing here.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    status = next((line.partition(": ")[2] for line in lines if line.startswith("status: ")), None)
    if status is None:
        return (Check(name="verify", ok=None, detail="it said nothing that is understood"),)
    checks, anywhere = list[Check](), False
    for place, line in enumerate(lines):
        counts = _COUNTS.findall(lines[place + 1]) if place + 1 < len(lines) else []
        bad = ", ".join(f"{number} {what}" for what, number in counts if number != "0")
        anywhere = anywhere or bool(bad)
        if line.startswith(f"archiveId: {taken.archive},"):
            where = f"{bad}: of this backup, or of other moments" if bad else line
            checks.append(Check(name="wal files", ok=None if bad else True, detail=where))
        elif line.startswith(f"backup: {taken.label},"):
            checks.append(Check(name="files", ok="status: valid" in line and not bad, detail=bad or line))
    if not any(check.name == "files" for check in checks):
        why = f"backup {taken.label} was not among what was verified"
        checks.append(Check(name="files", ok=False, detail=why))
    told = status == "ok" or anywhere  # of what is wrong it has told where
    return (Check(name="verify", ok=True if told else None, detail=f"pgBackRest says of all it has: {status}"), *checks)


def _unknown(stanza: str, why: str) -> BackupError:
    return BackupError(f"stanza {stanza}", why, f"pgbackrest --stanza={stanza} info", trouble=Trouble.CONFIGURATION)
