"""A small shell of its own that holds the other end of our pipe: when we are gone, it ends what we had started."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, Process
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
        self._pipe: int | None = None  # our end of it
        self._opening = asyncio.Lock()
        self._groups: set[int] = set()  # those at work: one that is begun anew is told of them
        self.closed = False
        """It was told to go, and nothing is to be begun any more."""

    async def note(self, sign: str, group: int) -> None:
        """A group of processes was begun (`+`) or is over (`-`)."""
        async with self._opening:
            if self.closed or (sign == "-" and group not in self._groups):
                return
            if self._process is None or self._process.returncode is not None:
                await self._begin()
                self._tell("+", *self._groups)
            (self._groups.add if sign == "+" else self._groups.discard)(group)
            self._tell(sign, group)

    async def close(self) -> None:
        """It goes, and ends what is left, if anything is; no other comes after it."""
        self.closed = True
        async with self._opening:
            self._let_go()
            if self._process is not None:
                await self._process.wait()
            self._process = None

    async def _begin(self) -> None:
        self._let_go()
        theirs, self._pipe = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe, False)  # a few bytes for each group: what does not fit is lost, and nobody waits
        try:
            words = ("/bin/sh", "-c", GUARDIAN, "toban-guardian")
            self._process = await asyncio.create_subprocess_exec(
                *words, stdin=theirs, stdout=DEVNULL, stderr=DEVNULL, cwd="/", start_new_session=True
            )
        finally:
            os.close(theirs)

    def _tell(self, sign: str, *groups: int) -> None:
        if self._pipe is not None:
            with suppress(OSError):  # it is gone: the next one is begun with the next group
                os.write(self._pipe, "".join(f"{sign} {group}\n" for group in groups).encode())

    def _let_go(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)
