"""What a database is made with: asked where it is dumped, kept in the manifest, said as SQL where it lives again."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

from backup.sql import query, quote_identifier, quote_literal

LISTS: Final = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
"""Settings that hold lists of names, each of them quoted for itself."""
PARTIAL: Final = "toban-partial-"
"""How the name of a database begins that is being restored: it is nobody's yet, and no part of a dump."""
PROVIDERS: Final = {"c": "libc", "i": "icu", "b": "builtin"}
PROVIDERS_SINCE: Final = 150000  # ICU for a whole database, and words for it
BUILTIN_SINCE: Final = 170000
_LISTED: Final = re.compile(r'"((?:[^"]|"")*)"|([^\s,]+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One privilege on the database itself; no grantee is PUBLIC."""

    grantee: str | None
    privilege: str
    grantable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One that holds here, for everybody or for one role."""

    name: str
    value: str
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """All of it. `roles`, `extensions` and `tablespaces` are what it wants of the server it shall live in."""

    encoding: str = "UTF8"
    collate: str = "C"
    ctype: str = "C"
    provider: str = "c"
    locale: str | None = None
    rules: str | None = None
    owner: str = ""
    tablespace: str | None = None
    connection_limit: int = -1
    comment: str | None = None
    grants: tuple[Grant, ...] | None = None  # None: as a new database has them
    settings: tuple[Setting, ...] = ()
    roles: tuple[str, ...] = ()
    extensions: Mapping[str, str] = field(default_factory=dict)
    tablespaces: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As a manifest's detail carries it."""
        return cast("dict[str, Any]", _listed(asdict(self)))

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Properties":
        """Out of a manifest's detail; what a later version added is passed by."""
        known = {name: value for name, value in told.items() if name in cls.__dataclass_fields__}
        grants = known.get("grants")
        known["grants"] = None if grants is None else tuple(Grant(**grant) for grant in grants)
        known["settings"] = tuple(Setting(**setting) for setting in known.get("settings", ()))
        for name in ("roles", "tablespaces"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)


async def asked(connection: Any) -> Properties:  # noqa: ANN401 - asyncpg ships no types
    """The properties of the database that this connection is in."""
    row = dict(await connection.fetchrow(query(__package__, "properties")))
    has_privileges = row.pop("has_privileges")
    grants = [Grant(**dict(one)) for one in await connection.fetch(query(__package__, "privileges"))]
    wants = await connection.fetch(query(__package__, "wants"))
    return Properties(
        **row,
        grants=tuple(grants) if has_privileges else None,
        settings=tuple(Setting(**dict(one)) for one in await connection.fetch(query(__package__, "settings"))),
        roles=tuple(one["name"] for one in wants if one["kind"] == "role"),
        extensions={one["name"]: one["version"] for one in wants if one["kind"] == "extension"},
        tablespaces=tuple(one["name"] for one in wants if one["kind"] == "tablespace"),
    )


def creation(name: str, of: Properties, *, version: int, tablespace: bool = True) -> str:
    """CREATE DATABASE for a server of this version, like the one that was dumped."""
    words = [f"CREATE DATABASE {quote_identifier(name)} TEMPLATE template0 ENCODING {quote_literal(of.encoding)}"]
    if version >= PROVIDERS_SINCE:
        words.append(f"LOCALE_PROVIDER {PROVIDERS.get(of.provider, 'libc')}")
    words.append(f"LC_COLLATE {quote_literal(of.collate)} LC_CTYPE {quote_literal(of.ctype)}")
    if of.provider == "i" and of.locale:
        words.append(f"ICU_LOCALE {quote_literal(of.locale)}")
    if of.provider == "b" and of.locale and version >= BUILTIN_SINCE:
        words.append(f"BUILTIN_LOCALE {quote_literal(of.locale)}")
    if of.rules:
        words.append(f"ICU_RULES {quote_literal(of.rules)}")
    if of.tablespace and tablespace:
        words.append(f"TABLESPACE {quote_identifier(of.tablespace)}")
    return " ".join(words)


def settings(name: str, of: Properties) -> Iterator[str]:
    """What has been set for a database, and for roles in it."""
    database = f"DATABASE {quote_identifier(name)}"
    for setting in of.settings:
        whose = f"ALTER ROLE {quote_identifier(setting.role)} IN {database}" if setting.role else f"ALTER {database}"
        yield f"{whose} SET {quote_identifier(setting.name)} TO {_valued(setting)}"


def dressing(name: str, of: Properties) -> Iterator[str]:
    """What else makes an empty database like the one that was dumped: its limit, comment, owner, and privileges."""
    database = f"DATABASE {quote_identifier(name)}"
    if of.connection_limit != -1:
        yield f"ALTER {database} CONNECTION LIMIT {of.connection_limit}"
    if of.comment is not None:
        yield f"COMMENT ON {database} IS {quote_literal(of.comment)}"
    if of.owner:
        yield f"ALTER {database} OWNER TO {quote_identifier(of.owner)}"
    if of.grants is not None:
        yield from _granted(database, of)


def _granted(database: str, of: Properties) -> Iterator[str]:
    """Take away what a new database has, and give what this one had."""
    yield f"REVOKE ALL ON {database} FROM PUBLIC"
    if of.owner:
        yield f"REVOKE ALL ON {database} FROM {quote_identifier(of.owner)}"
    for grant in of.grants or ():
        grantee = "PUBLIC" if grant.grantee is None else quote_identifier(grant.grantee)
        option = " WITH GRANT OPTION" if grant.grantable else ""
        yield f"GRANT {grant.privilege} ON {database} TO {grantee}{option}"


def _valued(setting: Setting) -> str:
    if setting.name.lower() not in LISTS:
        return quote_literal(setting.value)
    names = [quoted.replace('""', '"') or plain for quoted, plain in _LISTED.findall(setting.value)]
    return ", ".join(quote_literal(name) for name in names) or "''"


def _listed(value: object) -> object:
    """Tuples as lists, all the way down: as JSON reads them back."""
    if isinstance(value, dict):
        return {key: _listed(one) for key, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, (tuple, list)) else value
