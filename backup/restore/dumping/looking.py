"""Whether a dump will come back as it was: what is looked at beforehand, each with its answer. Decided purely."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from backup.engines.dumping.properties import PROVIDERS, Properties
from backup.engines.dumping.reading import Told
from backup.restore.dumping.naming import LONGEST_NAME_BYTES, Destination
from backup.restore.dumping.site import Facts, There
from toban.backups import Check, Manifest
from toban.units import size_text

EVERYWHERE = frozenset({"c", "posix"})  # locales that need not be installed
ICU = "i"


def of_server(facts: Facts, manifest: Manifest) -> Iterator[Check]:
    """Whether it may be written to, by us, and is new enough."""
    from_major = major_of(manifest.server_version)
    new_enough = from_major is None or facts.major >= from_major
    detail = f"PostgreSQL {facts.major}; the dump is of {manifest.server_version or 'an unknown version'}"
    mend = "" if new_enough else ": restore into that version or a newer one"
    yield Check(name="version", ok=new_enough, detail=detail + mend)
    if facts.standby:
        yield Check(name="server", ok=False, detail="it is a standby, which takes no writes; name its primary")
    if not facts.creates_databases:
        detail = f"role {facts.role} may not make databases; ALTER ROLE … CREATEDB, or come as a superuser"
        yield Check(name="privilege", ok=False, detail=detail)


def of_names(ones: Sequence[Destination], there: There, held: Mapping[str, int], *, replace: bool) -> Iterator[Check]:
    """Whether each name is free: nothing that exists is written over. One that holds nothing is as good as none."""
    for one in ones:
        name, title = one.name, f"database {one.name}"
        if len(name.encode()) > LONGEST_NAME_BYTES or not name:
            yield Check(
                name=title, ok=False, detail=f"is no name: it has more than {LONGEST_NAME_BYTES} bytes, or none"
            )
        elif name not in there.databases:
            yield Check(name=title, ok=True, detail="will be made")
        elif not held.get(name, 1):
            yield Check(name=title, ok=True, detail="is there and holds nothing: it is replaced")
        elif replace:
            yield Check(name=title, ok=True, detail="is there: it is put aside under another name")
        else:
            detail = f"{name} exists there and is not empty: choose another name, or say --replace to put it aside"
            yield Check(name=title, ok=False, detail=detail)


def of_wants(ones: Sequence[Destination], there: There, told: Told, makes: Collection[str]) -> Iterator[Check]:
    """What the databases want of the server; the roles in `makes` are made on the way."""
    wanted = {role for one in ones for role in one.entry.properties.roles}
    missing = sorted(wanted - there.roles - set(makes))
    if missing:
        detail = f"not there: {', '.join(missing)}; CREATE ROLE them first"
        yield Check(
            name="roles", ok=False, detail=f"{detail}, or let those of the dump be made" if told.globals else detail
        )
    else:
        made = ", ".join(sorted(makes))
        yield Check(name="roles", ok=True, detail=f"made as they were: {made}" if made else "all there")
    extensions = {name for one in ones for name in one.entry.properties.extensions}
    absent = sorted(extensions - there.extensions)
    detail = f"not installed there: {', '.join(absent)}" if absent else "all that are wanted can be had"
    yield Check(name="extensions", ok=not absent, detail=detail)
    for one in ones:
        yield _of_locale(one.entry.properties, there, one.name)
    lost = sorted(lost_tablespaces(ones, there))
    if lost:
        detail = f"not there: {', '.join(lost)}; what lay in them comes to the server's usual place"
        yield Check(name="tablespaces", ok=None, detail=detail)


def lost_tablespaces(ones: Sequence[Destination], there: There) -> frozenset[str]:
    """Those that the server has not."""
    wanted = {name for one in ones for name in one.entry.properties.tablespaces}
    wanted |= {one.entry.properties.tablespace or "" for one in ones}
    return frozenset(wanted - there.tablespaces - {""})


def _of_locale(properties: Properties, there: There, name: str) -> Check:
    """Whether the server knows the locale; from outside it cannot always be told, and then making it will tell."""
    title = f"locale of {name}"
    if properties.provider == ICU and ICU not in there.providers:
        return Check(name=title, ok=False, detail="is ICU's, and the server is built without ICU")
    known = EVERYWHERE | {_folded(locale) for locale in there.locales}
    unknown = sorted({one for one in (properties.collate, properties.ctype) if _folded(one) not in known})
    if unknown:
        detail = (
            f"{', '.join(unknown)}: not among those that the server tells of; if it is not installed there it fails"
        )
        return Check(name=title, ok=None, detail=f"{detail} at once")
    provider = PROVIDERS.get(properties.provider, properties.provider)
    return Check(name=title, ok=True, detail=f"{properties.collate} by {provider}")


def of_room(what: str, needed_bytes: int, free_bytes: int | None) -> Check:
    """Whether there is room; what cannot be seen from here cannot be told."""
    if free_bytes is None:
        return Check(name=what, ok=None, detail=f"needs about {size_text(needed_bytes)}; from here it cannot be seen")
    detail = f"needs about {size_text(needed_bytes)}, {size_text(free_bytes)} are free"
    return Check(name=what, ok=free_bytes >= needed_bytes, detail=detail)


def major_of(version: str) -> int | None:
    """`15` of `15.20 (Debian …)`."""
    found = re.match(r"\d+", version)
    return int(found[0]) if found else None


def _folded(locale: str) -> str:
    return locale.lower().replace("-", "")
