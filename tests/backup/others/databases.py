"""Databases of odd names with one of each kind of thing in them, and jobs that keep them."""

from pathlib import Path
from typing import Any

from backup.engines.mariadb import MariaDb
from tests.backup.others.making import Shop, a_shop
from tests.mariadbs import Mariadb

ODD = "店 `x` y"
FILLED = """
create table item (id int primary key auto_increment, name varchar(100), price decimal(10,2), photo blob);
insert into item (name, price, photo) values ('皿', 1.50, x'00ff27'), ('it''s; -- "x"\\n(1),', null, null);
insert into item (name) select concat('n', seq) from seq_1_to_500;
create table `odd ``name`` 表` (a int); insert into `odd ``name`` 表` values (1), (2);
create table empty (a int);
create view dear as select * from item where price > 1;
create procedure twice (n int) select n * 2;
create trigger priced before insert on item for each row set new.price = ifnull(new.price, 0);
create event nightly on schedule every 1 day do select 1;
"""


def quoted(name: str) -> str:
    """As SQL takes it."""
    return "`" + name.replace("`", "``") + "`"


def said(server: Mariadb, statements: str, database: str = "") -> str:
    """What the server says, in its databases of whatever name."""
    use = f"use {quoted(database)};" if database else ""
    return server.sql(f"set names utf8mb4; {use} {statements}")


def shop(tmp_path: Path, dsn: str, *databases: str, **keys: Any) -> Shop:  # noqa: ANN401 - any field or key
    """A job for these databases of a server."""
    work = a_shop(tmp_path, MariaDb(), "mariadb", dsn=dsn, **keys)
    object.__setattr__(work.origin, "chosen", lambda name: name in databases)
    return work
