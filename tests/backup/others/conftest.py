"""A database for each test that wants one."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.backup.others.databases import FILLED, ODD, quoted, said
from tests.mariadbs import Mariadb


@pytest.fixture
def database(mariadb: Mariadb) -> Iterator[str]:
    """A database of the test's own, with one of each kind of thing."""
    name = f"{ODD} {uuid4().hex[:6]}"
    said(mariadb, f"create database {quoted(name)} character set utf8mb4 collate utf8mb4_unicode_ci")
    said(mariadb, FILLED, name)
    yield name
    for made in (name, f"{name} back"):
        said(mariadb, f"drop database if exists {quoted(made)}")
