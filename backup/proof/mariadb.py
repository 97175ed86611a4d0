"""The proof of MariaDB's backups: a dump in an empty server, files under a server of their own; counted and checked."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from backup.programs import account
from backup.proof.assertions import answered, asserted, databases_of
from backup.proof.contract import Proving
from backup.proof.course import Course
from backup.proof.mariadb_scratch import MariaDbScratch, fresh_mariadb, restored_mariadb
from backup.proof.restoring import placed, restored
from backup.proof.rows import NAME as ROWS
from backup.proof.rows import Counted, Table, compared
from backup.proof.verdict import Weight
from backup.settings import Assertion
from toban.backups import Check

CHECK: Final = ("mariadb-check", "mysqlcheck")
CHECKED: Final = "check_table"
TABLE: Final = "BASE TABLE"  # and no view
MOST_NAMED: Final = 3
READ_ONLY: Final = "SET SESSION TRANSACTION READ ONLY; "
VALUES: Final = {"1": True, "0": False, "NULL": None}


async def prove_mariadb(proving: Proving, place: Path, course: Course) -> None:
    """A dump: into an empty server."""
    async with AsyncExitStack() as stack:
        with course.phase("start"):
            server = await stack.enter_async_context(fresh_mariadb(proving.around, place))
        with course.phase("restore"):
            await restored(proving, placed(proving, into=server.dsn), place, course)
        await _questions(proving, server, course, anew=True)
        with course.phase("end"):
            await stack.aclose()


async def prove_mariadb_base(proving: Proving, place: Path, course: Course) -> None:
    """The files: prepared by their way back, and a server on them."""
    data_dir, owner = place / "data", account()
    wanted = placed(proving, data_dir=data_dir, owner=None if owner is None else owner.name)
    with course.phase("restore"):
        await restored(proving, wanted, place, course)
    async with AsyncExitStack() as stack:
        with course.phase("recovery"):
            server = await stack.enter_async_context(restored_mariadb(proving.around, place, data_dir))
        course.found(Check(name="recovery", ok=True, detail="MariaDB started on it and answers"))
        await _questions(proving, server, course, anew=False)
        with course.phase("end"):
            await stack.aclose()


async def _questions(proving: Proving, server: MariaDbScratch, course: Course, *, anew: bool) -> None:
    """What was built `anew` is well whatever is missing: there the rows speak for what was kept."""
    told, children = proving.wanted.record.manifest, proving.around.children
    there = [one.name for one in await server.way.databases(children)]
    absent = [name for name in told.databases if name not in there]
    course.found(
        Check(name="databases", ok=not absent, detail=f"not there: {', '.join(absent)}" if absent else f"{len(there)}")
    )
    with course.phase("rows"):
        await _rows(proving, server, there, course, anew=anew)
    with course.phase(CHECKED):
        check = await _tables_checked(proving, server)
    if anew:
        course.found(check, Weight.TOLD if check.ok else Weight.NEEDED)
    else:
        course.found(check, Weight.INTEGRITY)
    with course.phase("assertions"):
        for assertion in proving.settings.assertions:
            answers = [
                (database, *await _ask(proving, server, assertion, database))
                for database in databases_of(assertion, there)
            ]
            course.found(asserted(assertion, answers))


async def _rows(proving: Proving, server: MariaDbScratch, there: Sequence[str], course: Course, *, anew: bool) -> None:
    promised = proving.wanted.record.manifest.rows
    if proving.settings.rows == "none" or not (promised or anew):
        return
    all_tables = await server.way.tables(proving.around.children)
    if not promised:
        holding = any(one.kind == TABLE for one in all_tables)
        said = "none were counted when it was made" if holding else "there are no tables"
        course.found(Check(name=ROWS, ok=None if holding else True, detail=said), Weight.INTEGRITY)
        return
    existing = {(one.database, one.name) for one in all_tables}
    found: dict[Table, Counted] = {}
    for database in there:
        tables = tuple(one.table for one in promised if one.database == database and (database, one.table) in existing)
        counts = await server.way.count(
            proving.around.children, database, tables, within_seconds=proving.settings.timeout
        )
        found |= {
            (database, one.schema, one.table): Counted(rows=counts[one.table])
            for one in promised
            if one.database == database and one.table in counts
        }
    check = compared(promised, found, tolerance=proving.settings.tolerance)
    course.found(check, Weight.INTEGRITY if check.ok else Weight.NEEDED)


async def _tables_checked(proving: Proving, server: MariaDbScratch) -> Check:
    """CHECK TABLE … EXTENDED of every table: rows and indexes against each other."""
    command = server.way.command(CHECK, "--all-databases", "--check", "--extended", "--silent")
    output = await proving.around.children.run(command, within_seconds=proving.settings.timeout)
    said = [" ".join(line.split()) for line in output.text.splitlines() if line.strip()]
    errors = [line for line in said if line.lower().startswith(("error", "corrupt")) or "is marked as crashed" in line]
    if errors:
        return Check(name=CHECKED, ok=False, detail="; ".join(said[: 2 * MOST_NAMED]))
    if not output.ok:
        return Check(name=CHECKED, ok=None, detail=output.ended[0].why)
    return Check(name=CHECKED, ok=True, detail="tables and indexes are whole")


async def _ask(
    proving: Proving, server: MariaDbScratch, assertion: Assertion, database: str
) -> tuple[bool | None, str]:
    """One answer, by the server's own client."""
    command = server.way.client("--execute", READ_ONLY + assertion.sql, "--", database)
    try:
        output = await proving.around.children.run(command, within_seconds=assertion.timeout)
    except BackupError as error:
        return None, error.why
    if not output.ok:
        return None, f"failed: {output.ended[0].why}"
    rows = [line.split("\t") for line in output.text.splitlines()[:2]]
    return answered([[VALUES.get(value, value) for value in row] for row in rows])
