"""A small shell of its own that holds the other end of our pipe: when we are gone, it ends what we had started."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Final

GUARDIAN: Final = r"""
groups=' '
while read -r sign group; do
    case $sign in
        +) groups="$groups$group " ;;
        -) groups="${groups%% $group *} ${groups#* $group }" ;;
    esac
done
for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
"""


class Guardian:
    """Outlives us by a moment, to end what we had started."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._opening = asyncio.Lock()
        self.closed = False
        """It was told to go, and nothing is to be begun any more."""

    async def note(self, sign: str, group: int) -> None:
        """A group of processes was begun (`+`) or is over (`-`)."""
        async with self._opening:
            if self.closed:
                return
            if self._process is None or self._process.returncode is not None:
                words = ("/bin/sh", "-c", GUARDIAN, "toban-guardian")
                self._process = await asyncio.create_subprocess_exec(
                    *words, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, cwd="/", start_new_session=True
                )
            if self._process.stdin is not None:
                with suppress(OSError):
                    self._process.stdin.write(f"{sign} {group}\n".encode())
                    await self._process.stdin.drain()

    async def close(self) -> None:
        """It goes, and ends what is left, if anything is; no other comes after it."""
        self.closed = True
        async with self._opening:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
                await self._process.wait()
            self._process = None
