"""Folders of a host by restic: one repository of its own for a target, a snapshot in it for each backup.

What is unchanged is kept once. The snapshots lie in `<target>/files/restic`, beside the backups' own folders, which
hold the snapshot's number and the list of what is in it. A snapshot goes when its backup's folder has gone.
"""

import asyncio
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from backup.children import Children, Command, Output
from backup.engines.contract import Estimate, Looking, Made, Making, Surroundings
from backup.engines.streams.folder import own_folder
from backup.engines.streams.growth import growing, size_of
from backup.errors import BackupError
from backup.programs import version_text
from backup.repository.layout import is_id
from backup.settings import Job, compression_of
from toban.backups import Check, Manifest, Method, Progress, Trouble
from toban.secrets import Secret

RESTIC: Final = ("restic",)
REPOSITORY: Final = "restic"
KEY: Final = "restic.key"
LISTING: Final = "listing.jsonl.gz"
SNAPSHOT: Final = "snapshot.json"
PASSWORD_FILE: Final = "restic.password"  # noqa: S105 - a file's name
FROM_ENVIRONMENT: Final = "RESTIC_PASSWORD_FILE"
INCOMPLETE: Final = 3  # restic's status for a snapshot that lacks what could not be read
SHORT_SECONDS: Final = 600.0
READ_SECONDS: Final = 12 * 3600.0
READ_WHOLE_BYTES: Final = 8 * 1024**3  # a larger one is read through in a week, a seventh each day
PARTS: Final = 7
DAY_SECONDS: Final = 86400
MOST_NOTED: Final = 5
LOOK_BYTES: Final = 64 * 1024
_UNDECIDED: Final = (Trouble.LOCKED, Trouble.PRIVILEGE, Trouble.SPACE)
"""What keeps restic from reading says nothing of what it would read."""
# Half a report a second is enough for progress; unbridled it is sixty, and fills memory.
QUIET: Final = {"RESTIC_PROGRESS_FPS": "0.5"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Restic:
    """One restic repository and the way into it. `folder` is private and goes with the work."""

    place: Path
    password_file: Path
    program: str
    folder: Path
    children: Children
    secrets: tuple[str, ...] = ()

    def command(self, *words: str, good: frozenset[int] = frozenset({0})) -> Command:
        """What restic is told."""
        own: tuple[str, ...] = ("--repo", str(self.place), "--password-file", str(self.password_file), "--quiet")
        cache = ("--cache-dir", str(self.folder / "cache"))
        own += ("--no-lock",) if self.place.exists() and not os.access(self.place, os.W_OK) else ()  # mounted read-only
        return Command(words=(self.program, *own, *cache, *words), environment=QUIET, secrets=self.secrets, good=good)

    async def run(self, *words: str, within_seconds: float = SHORT_SECONDS) -> Output:
        """Run it to its end; a failure is raised in its own words."""
        done = await self.children.run(self.command(*words), within_seconds=within_seconds)
        if not done.ok:
            raise self.failure(done)
        return done

    def failure(self, done: Output) -> BackupError:
        """What restic complained of."""
        why, said = done.ended[0].why, done.said.lower()
        if "wrong password" in said:
            hint = "the job's `password`, or restic.key beside the repository"
            return BackupError(str(self.place), "the password does not fit", hint, trouble=Trouble.PRIVILEGE)
        if "already locked" in said:
            return BackupError(str(self.place), why, "another restic is at work on it", trouble=Trouble.LOCKED)
        if "no space left" in said:
            return BackupError(str(self.place), why, trouble=Trouble.SPACE)
        damaged = any(
            word in said for word in ("ciphertext verification failed", "does not exist", "checksum", "invalid")
        )
        return BackupError(str(self.place), why, trouble=Trouble.DAMAGED if damaged else Trouble.TOOL)

    def holds(self, snapshot: str) -> bool:
        """Whether a snapshot is there, by its number or how that begins; no need to open anything."""
        return bool(snapshot) and any((self.place / "snapshots").glob(f"{snapshot}*"))

    @property
    def locked(self) -> bool:
        """Whether somebody is at work on it, or was killed at it."""
        return any((self.place / "locks").iterdir())

    @property
    def count(self) -> int:
        """How many snapshots there are."""
        return sum(1 for _ in (self.place / "snapshots").iterdir())

    async def snapshots(self) -> list[dict[str, Any]]:
        """All there are, with what they were tagged."""
        return list(json.loads((await self.run("snapshots", "--json")).text or "[]") or [])


class Files:
    """A snapshot of the paths of a job."""

    name: ClassVar[str] = "files"
    method: ClassVar[Method] = Method.FILES
    kinds: ClassVar[frozenset[str]] = frozenset({"host"})

    async def estimate(self, making: Making) -> Estimate:
        """As large as the last one; the first as large as what is there."""
        making.around.programs.other(*RESTIC)
        last = next((one.manifest for one in making.earlier if one.manifest.name == making.job.name), None)
        if last is not None and last.source_bytes is not None:
            return Estimate(source_bytes=last.source_bytes, size_bytes=last.detail.get("added_bytes"))
        missing = [path for path in making.job.paths if not path.exists()]
        if len(missing) == len(making.job.paths):
            raise BackupError(str(missing[0]), "is not there", "check `paths`", trouble=Trouble.MISSING)
        sizes = [await asyncio.to_thread(size_of, path) for path in making.job.paths]
        return Estimate(source_bytes=sum(sizes), size_bytes=sum(sizes))

    async def make(self, making: Making) -> Made:
        """Let snapshots go whose backups have gone; take one; list what is in it."""
        async with own_folder(making.around.workspace, "restic") as folder:
            return await self._make(making, await asyncio.to_thread(_restic_of, making, folder))

    async def _make(self, making: Making, restic: Restic) -> Made:
        clock = making.around.clock
        began = clock.monotonic()
        await _prepared(restic)
        forgotten = await forget_gone(restic, making.place.parent, keep=making.id)
        prepared_at = clock.monotonic()
        summary, notes = await self._snapshot(making, restic)
        taken_at = clock.monotonic()
        snapshot = str(summary["snapshot_id"])
        await self._list(making, restic, snapshot)
        detail = {
            "snapshot": snapshot,
            "repository": f"../{REPOSITORY}",
            "key": f"../{KEY}" if making.job.password is None else None,
            "paths": [str(path) for path in making.job.paths],
            "files": summary["total_files_processed"],
            "added_bytes": summary["data_added"],
            "listing": LISTING,
        }
        await asyncio.to_thread(_write, making.place / SNAPSHOT, json.dumps(detail, indent=1) + "\n")
        return Made(
            source_bytes=summary["total_bytes_processed"],
            tools={"restic": await asyncio.to_thread(version_text_of, restic.program)},
            compression=None if _compression(making.job) == "off" else "zstd",
            notes=(*notes, *((f"{forgotten} snapshots went whose backups had gone",) if forgotten else ())),
            phases={
                "prepare": prepared_at - began,
                "snapshot": taken_at - prepared_at,
                "list": clock.monotonic() - taken_at,
            },
            detail=detail,
        )

    async def verify(self, looking: Looking) -> tuple[Check, ...]:
        """Whether the snapshot is there with all that it had, and restic finds its repository whole."""
        manifest = looking.record.manifest
        looking.tell(Progress(phase="check", total_bytes=manifest.source_bytes, what=manifest.id))
        try:
            restic = await asyncio.to_thread(
                restic_for, looking.record.place, manifest, looking.workspace, looking.around, looking.secret
            )
        except BackupError as error:
            damaged = False if error.trouble is Trouble.MISSING else None
            return (Check(name="restic repository", ok=damaged, detail=error.reason),)
        size = await asyncio.to_thread(size_of, restic.place)
        part = int(looking.around.clock.now() // DAY_SECONDS) % PARTS + 1
        whole = size <= READ_WHOLE_BYTES
        reading = "--read-data" if whole else f"--read-data-subset={part}/{PARTS}"
        checks = [await _held(restic, manifest)]
        if checks[0].ok:
            checks.append(await _checked(restic, "structure", "its index leads to all that it should", "check"))
        read = "every byte was read" if whole else f"part {part} of {PARTS} was read; the rest on other days"
        if checks[-1].ok:  # where something is missing, reading tries again and again
            checks.append(await _checked(restic, "data", read, "check", reading))
        return tuple(checks)

    async def _snapshot(self, making: Making, restic: Restic) -> tuple[dict[str, Any], list[str]]:
        """Take it. What could not be read is left out and noted, which restic tells by its status."""
        job, report = making.job, restic.folder / "backup.jsonl"
        words = ["backup", "--json", "--tag", making.id, "--host", making.around.node or making.origin.name]
        words += [f"--exclude={pattern}" for pattern in job.exclude]
        words += [f"--compression={_compression(job)}"]
        if job.bandwidth is not None:
            words.append(f"--limit-upload={max(1, job.bandwidth // 1024)}")
        command = restic.command(*words, "--", *map(str, job.paths), good=frozenset({0, INCOMPLETE}))
        async with growing(restic.place, making.tell, "snapshot"):
            done = await making.around.children.run(command, into=report, within_seconds=job.timeout)
        if not done.ok:
            raise restic.failure(done)
        summary = await asyncio.to_thread(_summary, report)
        if summary is None:
            raise BackupError(str(restic.place), "restic took no snapshot, though it says it was well")
        notes = _complaints(done.said)
        if done.ended[0].status == INCOMPLETE:
            notes.insert(0, "it is incomplete: some files could not be read")
        return summary, notes

    async def _list(self, making: Making, restic: Restic, snapshot: str) -> None:
        """What is in it, so that one can look without restic."""
        gzip = Command(words=(str(making.around.programs.other("gzip")), "-n", "-c"))
        done = await making.around.children.run(
            restic.command("ls", "--json", snapshot), gzip, into=making.place / LISTING, within_seconds=READ_SECONDS
        )
        done.checked(str(restic.place))


async def forget_gone(restic: Restic, folder: Path, *, keep: str) -> int:
    """Let snapshots go whose backups have no folder any more, and what they alone held. How many there were.

    One with another tag than a backup's id is somebody's own.
    """
    gone = []
    if await asyncio.to_thread(lambda: restic.count < _folders(folder)):
        return 0  # each of the other folders has its own: opening a repository takes a second
    for one in await restic.snapshots():
        tags = one.get("tags") or []
        known = await asyncio.to_thread(_any_there, folder, tags)
        if tags and all(map(is_id, tags)) and keep not in tags and not known:
            gone.append(str(one["id"]))
    if gone:
        await restic.run("forget", "--prune", *gone, within_seconds=READ_SECONDS)
    return len(gone)


def restic_for(place: str, manifest: Manifest, folder: Path, around: Surroundings, secret: Secret | None) -> Restic:
    """The restic repository that a backup lies in; its password from whoever knows it, or from the key beside it."""
    home = Path(place).parent
    if not (home / REPOSITORY / "config").is_file():
        why = "restic's repository is not there"
        raise BackupError(str(home / REPOSITORY), why, "it lies beside the backups' folders", trouble=Trouble.MISSING)
    program = str(around.programs.other(*RESTIC))
    if secret is not None:
        file = folder / PASSWORD_FILE
        _write(file, secret.reveal())
        return Restic(place=home / REPOSITORY, password_file=file, program=program, folder=folder,
                      children=around.children, secrets=(secret.reveal(),))  # fmt: skip
    named = os.environ.get(FROM_ENVIRONMENT)
    file = home / KEY if manifest.detail.get("key") else Path(named or "")
    if not file.is_file():
        why = "its password is not known here"
        hint = f"name a file that holds it: {FROM_ENVIRONMENT}=/path toban …"
        raise BackupError(str(home / REPOSITORY), why, hint, trouble=Trouble.PRIVILEGE)
    return Restic(place=home / REPOSITORY, password_file=file, program=program, folder=folder, children=around.children)


def version_text_of(program: str) -> str:
    """`restic 0.14.0 …`; it knows no --version."""
    return version_text(Path(program))


def _restic_of(making: Making, folder: Path) -> Restic:
    """The repository of this target, with a password: the job's, or a key that is made once and kept beside it."""
    home = making.place.parent
    known: tuple[str, ...] = ()
    if making.job.password is not None:
        file, known = folder / PASSWORD_FILE, (making.job.password.reveal(),)
        _write(file, making.job.password.reveal())
    else:
        file = home / KEY
        if not file.exists():
            if (home / REPOSITORY / "config").exists():
                why, hint = "the key of its repository is gone", f"bring back {file}, or give the job its `password`"
                raise BackupError(str(home / REPOSITORY), why, hint, trouble=Trouble.MISSING)
            _write(file, secrets.token_urlsafe(32))
    return Restic(
        place=home / REPOSITORY,
        password_file=file,
        program=str(making.around.programs.other(*RESTIC)),
        folder=folder,
        children=making.around.children,
        secrets=known,
    )


async def _prepared(restic: Restic) -> None:
    """Make the repository if there is none."""
    if not (restic.place / "config").exists():
        await restic.run("init")
    else:
        await freed(restic)


async def freed(restic: Restic) -> None:
    """Rid of the locks that somebody has left who was killed; restic lets those of the living be."""
    if await asyncio.to_thread(lambda: restic.locked):
        await restic.run("unlock")


async def _checked(restic: Restic, name: str, well: str, *words: str) -> Check:
    done = await restic.children.run(restic.command(*words), within_seconds=READ_SECONDS)
    if done.ok:
        return Check(name=f"restic {name}", ok=True, detail=well)
    failure = restic.failure(done)
    undecided = failure.trouble in _UNDECIDED or done.ended[0].status < 0  # it was killed
    said = failure.why if undecided else "; ".join(_complaints(done.said)) or failure.why
    return Check(name=f"restic {name}", ok=None if undecided else False, detail=said)


async def snapshot_in(restic: Restic, manifest: Manifest) -> str:
    """The number of a backup's snapshot there: restic gives another one to a snapshot that it has copied."""
    own = str(manifest.detail.get("snapshot", ""))
    if await asyncio.to_thread(restic.holds, own):
        return own
    for one in await restic.snapshots():
        if manifest.id in (one.get("tags") or []):
            return str(one["id"])
    raise BackupError(f"snapshot {own}", "is gone", trouble=Trouble.MISSING)


async def _held(restic: Restic, manifest: Manifest) -> Check:
    """Whether the snapshot itself is there."""
    try:
        snapshot = await snapshot_in(restic, manifest)
    except BackupError as error:
        if error.trouble not in (Trouble.MISSING, Trouble.DAMAGED):
            return Check(name="snapshot", ok=None, detail=error.reason)
        return Check(name="snapshot", ok=False, detail=f"{error.what} {error.why}")
    return Check(
        name="snapshot", ok=True, detail=f"snapshot {snapshot} of {manifest.detail.get('files')} files is there"
    )


def _compression(job: Job) -> str:
    """The word that restic has for it."""
    name, level = compression_of(job.compress or "zstd") or ("zstd", None)
    if name == "none":
        return "off"
    return "max" if (level or 0) >= 10 else "auto"  # noqa: PLR2004 - where zstd's levels begin to be slow


def _summary(report: Path) -> dict[str, Any] | None:
    """The last line of what restic reports as JSON."""
    with report.open("rb") as file:
        file.seek(max(0, report.stat().st_size - LOOK_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    for line in reversed(lines):
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        if found.get("message_type") == "summary":
            return found
    return None


def _complaints(said: str) -> list[str]:
    """What restic complained of, as text: it says it as JSON or in words."""
    found = []
    for line in said.splitlines():
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            found.append(line.strip())
            continue
        error = told.get("error") or {}
        message = error.get("message") or error.get("Op") or str(error)
        found.append(f"{told.get('item', '')}: {message}")
    kept = [line for line in found if line]
    more = len(kept) - MOST_NOTED
    return kept[:MOST_NOTED] + ([f"and {more} more"] if more > 0 else [])


def _folders(folder: Path) -> int:
    """How many backups have folders there; the one that is being made has no snapshot yet."""
    return sum(1 for path in folder.iterdir() if (path / SNAPSHOT).exists()) + 1


def _any_there(folder: Path, tags: list[str]) -> bool:
    return any((folder / tag).exists() for tag in tags if "/" not in tag)


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
