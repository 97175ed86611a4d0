"""What a backup cannot give back as it is asked for is refused before anything is looked at."""

from pathlib import Path
from typing import Any

import pytest

from backup.restore.contract import Aim, Moment
from backup.restore.ordering import Order, fitting
from tests.builders import START
from tests.daemon.answers.kept import a_manifest
from toban.backups import Manifest, Method
from toban.errors import NotFoundError, UsageError
from toban.secrets import Dsn

SERVER = Dsn("postgresql://postgres@127.0.0.1/postgres")
TIME = Moment(aim=Aim.TIME, value="x", at=START)
BASE: dict[str, Any] = {"method": Method.BASE, "databases": (), "stop_lsn": "0/2000100"}


@pytest.mark.parametrize(
    ("order", "fields", "line"),
    [
        ({}, {}, "toban: --into: is missing: b is a dump, which a server takes (--into postgresql://…)"),
        ({"into": SERVER, "data_dir": Path("/x")}, {}, "toban: --into: does not go with --data-dir (one place alone)"),
        ({"into": SERVER, "moment": TIME}, {}, "toban: --to-…: b has one moment, its own"),
        ({"into": SERVER}, BASE, "toban: --data-dir: is missing: b holds a whole server"),
        (
            {"data_dir": Path("/x"), "database": "shop"},
            BASE,
            "toban: --database: b is a whole server, which comes back",
        ),
        ({"into": SERVER}, {"kind": "sqlite"}, "toban: --data-dir: is missing: b holds files"),
        (
            {"into": SERVER, "tables": ("public.a",)},
            {"databases": ("a", "b")},
            "toban: --database: is missing: which one of them? (there are: a, b)",
        ),
        (
            {"into": SERVER, "tables": ("a",)},
            {"kind": "mariadb"},
            "toban: --table: cannot be restored alone from mariadb",
        ),
        ({"into": SERVER, "jobs": 0}, {}, "toban: --jobs: is at least 1"),
        ({}, {"kind": "mariadb"}, "toban: --into: is missing: b is a dump, which a server takes (--into mysql://…)"),
        (
            {"into": SERVER},
            {"kind": "mariadb"},
            "toban: --into: names no server that takes b, which is a dump of mariadb (--into mysql://…)",
        ),
        (
            {"into": Dsn("mysql://root@127.0.0.1/")},
            {},
            "toban: --into: names no server that takes b, which is a dump of postgresql (--into postgresql://…)",
        ),
        (
            {"data_dir": Path("/x"), "rename": "y"},
            {"kind": "host", "method": Method.FILES},
            "toban: --as: names a database, and b comes back whole (name the place by --data-dir)",
        ),
    ],
)
def test_an_order_that_the_backup_cannot_take_is_refused(
    order: dict[str, Any], fields: dict[str, Any], line: str
) -> None:
    """Before anything is looked at; wrong usage."""
    with pytest.raises(UsageError) as refused:
        fitting(Order(backup="b", **order), a_manifest(**{"id": "b"} | fields))
    assert refused.value.line.startswith(line)


def test_a_database_that_is_not_in_it_is_not_found() -> None:
    """And those that are, are named."""
    told: Manifest = a_manifest(id="b")
    with pytest.raises(NotFoundError) as missing:
        fitting(Order(backup="b", into=SERVER, database="shpo"), told)
    assert missing.value.line == "toban: database shpo: is not in b (it has: shop)"


def test_the_only_database_needs_no_naming() -> None:
    """Tables and a new name are of that one."""
    told = a_manifest(id="b")
    assert fitting(Order(backup="b", into=SERVER, tables=("public.a",)), told).database == "shop"
    assert fitting(Order(backup="b", into=SERVER, rename="shop2"), told).database == "shop"
    assert fitting(Order(backup="b", into=SERVER), told).database is None
