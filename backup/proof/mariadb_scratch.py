"""A MariaDB server to throw away: on a private socket, without a network, without events, gone with the block."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from backup.children import Child, Command
from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.mariadb.way import MariaDbWay
from backup.programs import account, becoming
from backup.proof.place import private_folder, socket_folder
from backup.proof.verdict import spoiled
from toban.backups import Trouble
from toban.secrets import Dsn

INSTALL: Final = ("mariadb-install-db", "mysql_install_db")
SERVER: Final = ("mariadbd", "mysqld")
START_SECONDS: Final = 120.0  # the recovery of its log is short: it was prepared
LOOK_SECONDS: Final = 0.1
ENDING_SECONDS: Final = 15.0
MOST_LINES: Final = 100
# A starting server clears away whatever is called `#sql…` in its folder for temporary files, also what is in use by
# another that shares it: by the watched one, in /tmp.
TEMPORARY: Final = "temporary"
OWN_SETTINGS: Final = "backup-my.cnf"  # what mariadb-backup says of the files: page size and the like
SETTINGS: Final = (
    "--skip-networking",
    "--skip-log-bin",
    "--skip-slave-start",
    "--event-scheduler=OFF",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=128M",
    "--lc-messages=en_US",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MariaDbScratch:
    """One that runs."""

    dsn: Dsn
    way: MariaDbWay
    child: Child


@asynccontextmanager
async def fresh_mariadb(around: Surroundings, place: Path) -> AsyncIterator[MariaDbScratch]:
    """An empty one."""
    data_dir, temporary = private_folder(place, "data", account()), private_folder(place, TEMPORARY, account())
    words = (
        *(*becoming(account()), str(around.programs.other(*INSTALL)), "--no-defaults", f"--datadir={data_dir}"),
        *("--auth-root-authentication-method=normal", "--skip-test-db", f"--tmpdir={temporary}"),
    )
    output = await around.children.run(Command(words=words), within_seconds=START_SECONDS)
    output.checked(INSTALL[0])
    async with _started(around, place, data_dir, temporary) as server:
        yield server


@asynccontextmanager
async def restored_mariadb(around: Surroundings, place: Path, data_dir: Path) -> AsyncIterator[MariaDbScratch]:
    """One on restored files. Its own accounts are not asked: nobody else comes in."""
    temporary = private_folder(place, TEMPORARY, account())
    async with _started(around, place, data_dir, temporary, "--skip-grant-tables") as server:
        yield server


@asynccontextmanager
async def _started(
    around: Surroundings, place: Path, data_dir: Path, temporary: Path, *more: str
) -> AsyncIterator[MariaDbScratch]:
    sockets = socket_folder(place, account())
    own = data_dir / OWN_SETTINGS
    words = (
        *(*becoming(account()), str(around.programs.other(*SERVER))),
        *(f"--defaults-file={own}" if own.is_file() else "--no-defaults", f"--datadir={data_dir}"),
        *(f"--socket={sockets / 'm'}", f"--pid-file={sockets / 'pid'}", f"--tmpdir={temporary}", *SETTINGS, *more),
    )
    said: deque[str] = deque(maxlen=MOST_LINES)
    dsn = Dsn(f"mysql://root@localhost/?socket={quote(str(sockets / 'm'), safe='')}")
    async with around.children.running(
        Command(words=words), on_line=said.append, grace_seconds=ENDING_SECONDS
    ) as child:
        way = MariaDbWay(dsn, place, around.programs)
        await _ready(child, way, around, said)
        yield MariaDbScratch(dsn=dsn, way=way, child=child)


async def _ready(child: Child, way: MariaDbWay, around: Surroundings, said: "deque[str]") -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _answers(way, around):
                if not child.running:
                    await child.wait()
                    why = f"did not start: {_last(said)}"
                    trouble = Trouble.DAMAGED if spoiled(why) else Trouble.TOOL
                    raise BackupError("scratch server", why, trouble=trouble)
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        why = f"not ready within {START_SECONDS:.0f} s: {_last(said)}"
        raise BackupError("scratch server", why, trouble=Trouble.TIMEOUT) from None


async def _answers(way: MariaDbWay, around: Surroundings) -> bool:
    try:
        await way.open(around.children)
    except BackupError as error:
        if error.trouble is Trouble.UNREACHABLE:
            return False
        raise
    return True


def _last(said: "deque[str]") -> str:
    """The first error in its log, else its last line."""
    errors = [line for line in said if "[ERROR]" in line]
    return errors[0] if errors else (said[-1] if said else "it said nothing")
