"""A book on a real file, for the tests that need one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from history.book.book import Book
from toban.clock import Clock


@asynccontextmanager
async def book_at(path: Path, clock: Clock) -> AsyncIterator[Book]:
    """An open book, closed at the end."""
    book = await Book.open(path, clock)
    try:
        yield book
    finally:
        await book.close()
