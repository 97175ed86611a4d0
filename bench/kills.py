"""`python -m bench.kills`: kill -9 at random moments, and what is lost or changed by it. Both shall be nothing.

A process fires alerts through the real book and dispatcher to a real HTTP receiver that now and then refuses, hangs or
resets. It is killed at a random moment, started again, killed again; at last one is left to end by itself.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from random import Random
from time import perf_counter

from tests.alerting.ledger import Ledger, expected, serve

EPISODES = 60
KILLS_A_ROUND = 10
LATEST_SECONDS = 1.2  # a start takes about half of it: some kills come before anything is done
BUSY_SECONDS = 0.08  # after the first request: the time in which most is under way


def main() -> int:
    """Kill, count, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = Random(options.seed)  # noqa: S311 - no secret
    started, totals = perf_counter(), dict.fromkeys(("kills", "notices", "lost", "changed", "unexpected", "again"), 0)
    while totals["kills"] < options.kills:
        for name, count in asyncio.run(_round(random, min(KILLS_A_ROUND, options.kills - totals["kills"]))).items():
            totals[name] += count
    print("| " + " | ".join(totals) + " | seconds |")
    print("| " + " | ".join("---" for _ in totals) + " | --- |")
    print("| " + " | ".join(map(str, totals.values())) + f" | {perf_counter() - started:.0f} |")
    return 1 if totals["lost"] or totals["changed"] or totals["unexpected"] else 0


async def _round(random: Random, kills: int) -> dict[str, int]:
    """A book of its own, so many kills, and what the receiver makes of it."""
    ledger = Ledger(random.randrange(2**32), moods=3 * kills)
    await ledger.receiver.start()
    killed = 0
    with tempfile.TemporaryDirectory(prefix="toban-bench-") as folder:
        book = Path(folder, "state.db.alerts")
        for number in range(kills):
            # Each start finds some more to tell, so that there is always something under way.
            count = EPISODES * (number + 1) // kills
            ledger.asked_now.clear()
            early = random.random() < 0.25  # noqa: PLR2004 - one in four at any time, the others in the thick of it
            within = random.uniform(0.0, LATEST_SECONDS if early else BUSY_SECONDS)
            since = None if early else ledger.asked_now
            killed += await serve(book, ledger.receiver.url(), count, kill_after=within, since=since) is None
        if await serve(book, ledger.receiver.url(), EPISODES) != 0:
            raise SystemExit("the last process did not end by itself")
    await ledger.receiver.stop()
    wanted, taken = expected(EPISODES), set(ledger.taken)
    return {
        "kills": killed,
        "notices": len(wanted),
        "lost": len(wanted - taken),
        "changed": len(ledger.changed),
        "unexpected": len(ledger.asked - wanted),
        "again": sum(ledger.taken.values()) - len(taken),
    }


if __name__ == "__main__":
    sys.exit(main())
