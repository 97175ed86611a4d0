"""Some tables out of a dump, with all that makes them: chosen from the archive's own list and what depends on what."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from backup.errors import BackupError
from toban.backups import Trouble

TABLE: Final = "TABLE"
DATA: Final = "TABLE DATA"
# What belongs to a table and comes along with it; what it takes itself comes along too.
BELONGING: Final = frozenset(
    {
        DATA,
        "CHECK CONSTRAINT",
        "CONSTRAINT",
        "DEFAULT",
        "INDEX",
        "INDEX ATTACH",
        "POLICY",
        "ROW SECURITY",
        "SEQUENCE",
        "SEQUENCE OWNED BY",
        "SEQUENCE SET",
        "STATISTICS",
        "STATISTICS DATA",
        "TABLE ATTACH",
        "TRIGGER",
    }
)
SAYING: Final = frozenset({"ACL", "COMMENT", "SECURITY LABEL"})  # come along with whatever they are about
LINKING: Final = frozenset({"FK CONSTRAINT", "RULE"})  # come along only where both ends do
_MANY_WORDS: Final = (
    *(name for name in BELONGING | SAYING | LINKING if " " in name),
    "DEFAULT ACL",
    "MATERIALIZED VIEW DATA",
    "MATERIALIZED VIEW",
    "EVENT TRIGGER",
    "FOREIGN TABLE",
    "FOREIGN SERVER",
    "FOREIGN DATA WRAPPER",
    "USER MAPPING",
    "TEXT SEARCH",
    "ACCESS METHOD",
    "DATABASE PROPERTIES",
    "PUBLICATION TABLE",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "PROCEDURAL LANGUAGE",
    "SHELL TYPE",
)
_ENTRY: Final = re.compile(
    rf"(?P<id>\d+); \d+ \d+ (?P<kind>{'|'.join(sorted(_MANY_WORDS, key=len, reverse=True))}|\S+) (?P<named>.*)"
)
_DEPENDS: Final = ";\tdepends on: "
_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)"\.(?:"((?:[^"]|"")*)"|(.+))|([^"]+?)\."((?:[^"]|"")*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One entry of the list. `named` is its schema, its name and its owner, with blanks between and in them."""

    id: int
    kind: str
    named: str
    needs: frozenset[int]


def listed(text: str) -> tuple[Item, ...]:
    """What `pg_restore --list --verbose` says, in its order."""
    found: list[Item] = []
    for line in text.splitlines():
        entry = _ENTRY.match(line)
        if entry is not None:
            found.append(Item(id=int(entry["id"]), kind=entry["kind"], named=entry["named"], needs=frozenset()))
        elif line.startswith(_DEPENDS) and found:
            last = found[-1]
            needs = frozenset(int(number) for number in line.removeprefix(_DEPENDS).split())
            found[-1] = Item(id=last.id, kind=last.kind, named=last.named, needs=needs)
    return tuple(found)


def selection(items: Sequence[Item], tables: Iterable[str], owners: Collection[str]) -> tuple[int, ...]:
    """The ids to restore, in the list's order; raises for a table that is not in it."""
    by_id = {item.id: item for item in items}
    core = _with_heirs(items, {_table(items, name, owners).id for name in tables})
    asked = frozenset(core)
    chosen = _needed(core, by_id) | {item.id for item in items if item.kind == "EXTENSION"}
    growing = True
    while growing:
        before = len(chosen)
        for item in items:
            if item.id not in chosen and _comes_along(item, core, chosen, asked):
                core.add(item.id)
                chosen |= _needed({item.id}, by_id)
        growing = len(chosen) > before
    return tuple(item.id for item in items if item.id in chosen)


def _comes_along(item: Item, core: Collection[int], chosen: Collection[int], asked: Collection[int]) -> bool:
    if item.kind == DATA:
        return bool(item.needs & set(asked))
    if item.kind in SAYING:
        return bool(item.needs & set(chosen))
    if item.kind in LINKING:
        return bool(item.needs & set(asked)) and item.needs <= set(chosen)
    return item.kind in BELONGING and bool(item.needs & set(core))


def _needed(ids: Iterable[int], by_id: dict[int, Item]) -> set[int]:
    """These, and all that they depend on."""
    found: set[int] = set()
    waiting = list(ids)
    while waiting:
        one = waiting.pop()
        if one not in found and one in by_id:
            found.add(one)
            waiting += by_id[one].needs
    return found


def _with_heirs(items: Sequence[Item], tables: set[int]) -> set[int]:
    """A table's partitions hold its rows."""
    found = set(tables)
    growing = True
    while growing:
        heirs = {item.id for item in items if item.kind == TABLE and item.needs & found}
        growing = not heirs <= found
        found |= heirs
    return found


def _table(items: Sequence[Item], name: str, owners: Collection[str]) -> Item:
    for schema, table in _readings(name):
        beginning = f"{schema} {table} "
        for item in items:
            if item.kind == TABLE and item.named.startswith(beginning):
                owner = item.named.removeprefix(beginning)
                if not owners or owner in owners:
                    return item
    hint = "name it as schema.table"
    raise BackupError(f"table {name}", "is not in this dump", hint, trouble=Trouble.MISSING)


def _readings(name: str) -> Iterator[tuple[str, str]]:
    """How a name can be taken: quoted as in SQL, or cut at any of its dots; without one it is in public."""
    quoted = _QUOTED.fullmatch(name)
    if quoted is not None:
        schema = quoted[4] if quoted[1] is None else quoted[1].replace('""', '"')
        table = next(part for part in (quoted[2], quoted[3], quoted[5]) if part is not None)
        yield schema, table.replace('""', '"')
    for place, letter in enumerate(name):
        if letter == "." and 0 < place < len(name) - 1:
            yield name[:place], name[place + 1 :]
    yield "public", name
