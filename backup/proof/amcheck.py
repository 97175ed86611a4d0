"""Heaps and indexes looked into by pg_amcheck, and its answer read: its words decide, not its exit status alone."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backup.children import Command, Output
from backup.engines.contract import Surroundings
from backup.proof.configuration import PATIENT
from backup.proof.looking import heard
from backup.proof.scratch import ScratchServer
from backup.proof.verdict import of_reading, worst
from backup.sql import query, quote_identifier
from toban.backups import Check

NAME: Final = "amcheck"
CORRUPT_STATUS: Final = 2
MOST_READ_BYTES: Final = 64 * 1024
MOST_NAMED: Final = 3
OPTIONS: Final = " ".join(f"-c {k}={v}" for k, v in {**PATIENT, "default_transaction_read_only": "off"}.items())
ANSWER: Final = "amcheck.txt"
ABSENT: Final = "the extension amcheck is not on this machine"
COLLATION_VERSIONS_SINCE: Final = 15
_RELATION = re.compile(r"^(heap table|btree index) \"(.*)\"(?:, .*)?:$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What it found in one relation."""

    kind: str  # heap table, btree index
    relation: str  # database.schema.name
    words: str


async def amchecked(
    server: ScratchServer,
    around: Surroundings,
    place: Path,
    *,
    jobs: int,
    within_seconds: float,
    databases: Sequence[str] = (),
) -> Check:
    """Every heap and every btree, each row sought in its indexes, in these databases or in all that there are."""
    if not await _can_be_had(server):
        return Check(name=NAME, ok=None, detail=f"{ABSENT} ({_mend(server.major)})")
    answer = place / ANSWER
    command = Command(
        words=_words(server, jobs, databases), environment={**server.way.environment, "PGOPTIONS": OPTIONS}
    )
    output = await around.children.run(command, into=answer, within_seconds=within_seconds)
    complaints = complained(await asyncio.to_thread(_beginning, answer))
    sorted_otherwise = await _sorted_otherwise(server) if complaints else False
    return judged_answer(output, complaints, sorted_otherwise=sorted_otherwise)


def complained(text: str) -> tuple[Complaint, ...]:
    """Its answer, relation by relation."""
    return tuple(_complaints(text.splitlines()))


def judged_answer(output: Output, complaints: Sequence[Complaint], *, sorted_otherwise: bool) -> Check:
    """What it comes to: an error of this machine's (no room, a library that is missing) is no damage."""
    if output.ok:
        return Check(name=NAME, ok=True, detail="heaps and indexes are whole")
    if output.ended[0].status != CORRUPT_STATUS or not complaints:
        return Check(name=NAME, ok=None, detail=output.ended[0].why)
    named = "; ".join(f"{one.kind} {one.relation}: {one.words}" for one in complaints[:MOST_NAMED])
    more = len(complaints) - MOST_NAMED
    said = named + (f"; and {more} more" if more > 0 else "")
    ok = worst(_meaning(one, sorted_otherwise=sorted_otherwise) for one in complaints)
    if ok is None and sorted_otherwise:
        said += " (texts are sorted otherwise on this machine than where the indexes were built)"
    return Check(name=NAME, ok=ok, detail=said)


def _meaning(complaint: Complaint, *, sorted_otherwise: bool) -> bool | None:
    if sorted_otherwise and complaint.kind == "btree index" and "order" in complaint.words:
        return None
    return of_reading("", complaint.words)


def _complaints(lines: Sequence[str]) -> Iterator[Complaint]:
    kind, relation, words = "", "", list[str]()
    for line in lines:
        header = _RELATION.match(line)
        if header is None:
            words.append(" ".join(line.split()))
            continue
        if relation:
            yield Complaint(kind=kind, relation=relation, words=" ".join(words))
        kind, relation, words = header[1], header[2], []
    if relation:
        yield Complaint(kind=kind, relation=relation, words=" ".join(words))


def _words(server: ScratchServer, jobs: int, databases: Sequence[str]) -> tuple[str, ...]:
    # A pattern in double quotes means the name alone.
    chosen = [f"--database={quote_identifier(name)}" for name in databases] or ["--all", "--maintenance-db=template1"]
    place = dict(server.dsn.parameters)
    return (
        *(str(server.bin_dir / "pg_amcheck"), f"--host={place['host']}", f"--port={place['port']}"),
        *(f"--username={server.superuser}", "--no-password", *chosen),
        *("--heapallindexed", "--parent-check", "--on-error-stop", "--install-missing", f"--jobs={jobs}"),
    )


async def _can_be_had(server: ScratchServer) -> bool:
    with heard():
        async with server.way.connected("template1", settings=PATIENT) as connection:
            return bool(await connection.fetchval(query(__package__, "amcheck")))


async def _sorted_otherwise(server: ScratchServer) -> bool:
    if server.major < COLLATION_VERSIONS_SINCE:
        return False
    with heard():
        async with server.way.connected("template1", settings=PATIENT) as connection:
            return bool(await connection.fetchval(query(__package__, "collations")))


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MOST_READ_BYTES).decode(errors="replace")


def _mend(major: int) -> str:
    return f"it comes with PostgreSQL's contrib: apt install postgresql-{major}"
