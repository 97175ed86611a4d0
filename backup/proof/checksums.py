"""The checksums of every page of a stopped server's files, by pg_checksums."""

import re
from typing import Final

from backup.children import Command, Output
from backup.engines.contract import Surroundings
from backup.programs import account, becoming
from backup.proof.scratch import ScratchServer
from backup.proof.verdict import of_reading
from toban.backups import Check

NAME: Final = "page_checksums"
DISABLED: Final = Check(name=NAME, ok=None, detail="this server keeps none (pg_checksums --enable)")
MOST_NAMED: Final = 3
_BAD = re.compile(r"^Bad checksums:\s+(\d+)", re.MULTILINE)
_BLOCKS = re.compile(r"^Blocks scanned:\s+(\d+)", re.MULTILINE)
_WHERE = re.compile(r"checksum verification failed in file \"([^\"]*)\", (block \d+)")


async def pages_checked(server: ScratchServer, around: Surroundings, *, within_seconds: float) -> Check:
    """Every page of a server that has been stopped."""
    words = (*becoming(account()), str(server.bin_dir / "pg_checksums"), "--check", "-D", str(server.data_dir))
    output = await around.children.run(Command(words=words), within_seconds=within_seconds)
    return judged_answer(output, str(server.data_dir))


def judged_answer(output: Output, data_dir: str) -> Check:
    """What its words come to."""
    bad, blocks = _BAD.search(output.text), _BLOCKS.search(output.text)
    if output.ok and bad is not None and blocks is not None and int(bad[1]) == 0:
        return Check(name=NAME, ok=True, detail=f"{blocks[1]} pages")
    if bad is not None and int(bad[1]):
        places = [f"{file.removeprefix(data_dir).lstrip('/')} {block}" for file, block in _WHERE.findall(output.said)]
        where = ", ".join(places[:MOST_NAMED]) + (", …" if int(bad[1]) > MOST_NAMED else "")
        return Check(name=NAME, ok=False, detail=f"{bad[1]} pages are not what was written: {where}")
    why = output.ended[0].why
    return Check(name=NAME, ok=None if output.ok else of_reading("", why), detail=why)
