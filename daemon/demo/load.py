"""Something to watch: a small shop that sells, reports slowly, forgets a transaction, queues at its till, and fails."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg

SCHEMA = """
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price numeric NOT NULL, stock int NOT NULL);
CREATE TABLE sale (id bigserial PRIMARY KEY, item_id int NOT NULL REFERENCES item, amount int NOT NULL,
                   sold_at timestamptz NOT NULL DEFAULT now());
INSERT INTO item SELECT n, 'item ' || n, (n % 97) + 0.5, 1000000 FROM generate_series(1, 20000) n;
INSERT INTO item VALUES (0, 'till', 0, 0);
CREATE INDEX sale_sold_at_idx ON sale (sold_at);
CREATE INDEX sale_by_time_idx ON sale (sold_at);
INSERT INTO sale (item_id, amount, sold_at)
    SELECT (n % 20000) + 1, n % 9 + 1, now() - n * interval '1 second' FROM generate_series(1, 50000) n;
ANALYZE;
"""
# Not one of them has an index to use: they are slow in earnest.
BEST_SELLERS = """
SELECT i.name, sum(s.amount * i.price) FROM sale s JOIN item i ON i.id = s.item_id
GROUP BY i.name ORDER BY 2 DESC LIMIT $1
"""
SOLD_TOGETHER = """
SELECT count(*) FROM sale a JOIN sale b ON a.amount = b.amount AND a.item_id < b.item_id
WHERE a.id % (200 * $1::int) = 0
"""
REPORTS = (BEST_SELLERS, SOLD_TOGETHER)
SLOW = "SELECT pg_sleep($1)"
CASH_UP = "UPDATE item SET stock = stock WHERE id = 0"  # nobody sells the till
SELLERS = 3
QUEUEING = 2
Work = Callable[[Any, random.Random], Awaitable[None]]


async def prepare(dsn: str) -> None:
    """Make the shop."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(SCHEMA, timeout=60)
    finally:
        await connection.close(timeout=5)


async def trade(dsn: str) -> None:
    """Keep the shop open until cancelled."""
    async with asyncio.TaskGroup() as shop:
        for number in range(SELLERS):
            shop.create_task(_work(dsn, sell, number, "seller"))
        shop.create_task(_work(dsn, report, 7, "report"))
        shop.create_task(_work(dsn, dawdle, 8, "batch"))
        shop.create_task(_work(dsn, hold_the_till, 9, "manager"))
        for number in range(QUEUEING):
            shop.create_task(_work(dsn, queue_at_the_till, 10 + number, "cashier"))


async def sell(connection: Any, chance: random.Random) -> None:  # noqa: ANN401 - asyncpg ships no types
    """One sale; one in fifty is rolled back."""
    with suppress(asyncpg.PostgresError):
        async with connection.transaction():
            item = chance.randint(1, 20000)
            await connection.execute("UPDATE item SET stock = stock - 1 WHERE id = $1", item)
            await connection.execute("INSERT INTO sale (item_id, amount) VALUES ($1, $2)", item, chance.randint(1, 9))
            if chance.random() < 0.02:  # noqa: PLR2004 - one in fifty
                raise asyncpg.PostgresError("the customer has left")
    await asyncio.sleep(chance.uniform(0.01, 0.05))


async def report(connection: Any, chance: random.Random) -> None:  # noqa: ANN401 - asyncpg ships no types
    """A report that scans."""
    await connection.fetch(chance.choice(REPORTS), chance.choice((10, 20, 50)))
    await asyncio.sleep(chance.uniform(0.5, 2))


async def dawdle(connection: Any, chance: random.Random) -> None:  # noqa: ANN401 - asyncpg ships no types
    """A batch that holds a transaction open for some seconds, and sleeps in it."""
    async with connection.transaction():
        await connection.fetch(SLOW, chance.uniform(4, 8))
        await asyncio.sleep(chance.uniform(1, 3))
    await asyncio.sleep(chance.uniform(2, 5))


async def hold_the_till(connection: Any, chance: random.Random) -> None:  # noqa: ANN401 - asyncpg ships no types
    """Somebody keeps a row locked and goes away from the desk."""
    async with connection.transaction():
        await connection.execute(CASH_UP)
        await asyncio.sleep(chance.uniform(12, 18))
    await asyncio.sleep(chance.uniform(12, 18))


async def queue_at_the_till(connection: Any, chance: random.Random) -> None:  # noqa: ANN401 - asyncpg ships no types
    """Others want the same row, and wait one behind the other."""
    await connection.execute(CASH_UP, timeout=120)
    await asyncio.sleep(chance.uniform(0.2, 1))


async def _work(dsn: str, work: Work, seed: int, name: str) -> None:
    chance = random.Random(seed)  # noqa: S311 - a load, no secret
    connection = await asyncpg.connect(dsn, timeout=10, server_settings={"application_name": f"demo {name}"})
    try:
        while True:
            await work(connection, chance)
    finally:
        connection.terminate()
