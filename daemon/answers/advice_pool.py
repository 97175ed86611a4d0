"""`toban advise pool`: pgbouncer.ini and a userlist for a server, looked at here and now; nothing is changed there."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from collectors.pgbouncer.pool_advice import (
    AUTH_QUERY_SQL,
    Line,
    PoolAdvice,
    Preset,
    Upstream,
    Verifier,
    advise,
    userlist,
)
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from daemon.answers.asking import Asked
from daemon.answers.printing import print_json
from daemon.configuration.targets import PostgresqlTarget
from daemon.configuration.tree import Configuration
from daemon.documents import Document
from toban.catalogue import say
from toban.clock import Clock, SystemClock
from toban.errors import NotFoundError, TobanError, UnavailableError, UsageError
from toban.language import Language
from toban.printable import printable
from toban.secrets import Dsn

WHAT = "advise pool"
STDOUT = "-"
INI, USERLIST = "pgbouncer.ini", "userlist.txt"
DEBIAN = Path("/etc/pgbouncer")
VERSION_SECONDS = 3.0
TLS = {"sslmode": "server_tls_sslmode", "sslrootcert": "server_tls_ca_file"}
TLS_MODES = frozenset({"require", "verify-ca", "verify-full"})
_POOL = Query("pool")
_VERIFIERS = Query("pool_verifiers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The advice, and what its two files hold. The userlist is shown to nobody who did not ask for it."""

    advice: PoolAdvice
    upstream: Upstream
    userlist: str = field(repr=False)
    left_out: dict[str, str]

    @property
    def roles(self) -> int:
        """How many roles stand in the userlist."""
        return len(self.userlist.splitlines())


def answer(options: Asked, *, target: str | None, preset: str | None, clients: int | None, out: str | None,
           as_json: bool) -> int:  # fmt: skip
    """Print the files, or write them where `out` says."""
    chosen = _preset(preset)
    watched = _target(options.configuration, target)
    folder = Path(out) if out not in (None, STDOUT) else None
    if folder is not None:
        _refuse_what_exists(folder)
    upstream, verifiers = asyncio.run(look(watched, SystemClock()))
    auth_file = str((folder.resolve() if folder else DEBIAN) / USERLIST)
    advice = advise(upstream, preset=chosen, clients=clients, version=installed_version(), auth_file=auth_file)
    listed, left_out = userlist(verifiers)
    files = Files(advice=advice, upstream=upstream, userlist=listed, left_out=left_out)
    written = _write(folder, files, options.language) if folder else []
    if as_json:
        print_json(document(files, watched.name, preset, written, options.language))
    elif folder:
        print(
            "\n".join(
                [
                    *(say("pool.written", options.language, path=path) for path in written),
                    *_notes(files, options.language),
                ]
            )
        )
    else:
        _print(files, options.language, with_userlist=out == STDOUT)
    return 0


async def look(target: PostgresqlTarget, clock: Clock) -> tuple[Upstream, list[Verifier]]:
    """What the server is, and the verifiers if the role may read them."""
    server = PostgresServer(target.dsn, clock, target.limits, target.databases)
    try:
        (row,) = await server.fetch(_POOL)
        rows = await server.fetch(_VERIFIERS) if row["may_read_verifiers"] else []
    except Exception as error:  # the source has a reason for each, and one for a fault of our own
        failure = server.explain(error)
        kind = UnavailableError if failure.down else TobanError
        raise kind(WHAT, f"{failure.reason}: {failure.detail}", failure.hint) from error
    finally:
        await server.close()
    host, port = place(target.dsn)
    upstream = Upstream(
        host=host,
        port=port,
        max_connections=row["max_connections"],
        reserved_connections=row["reserved_connections"],
        databases=tuple(name for name in json.loads(row["databases"]) if target.databases.chosen(name)),
        may_read_verifiers=row["may_read_verifiers"],
        watcher=row["watcher"],
        tls=_tls(target.dsn),
    )
    return upstream, [Verifier(**dict(found)) for found in rows]


def place(dsn: Dsn) -> tuple[str, int]:
    """Where the first server of a DSN is: a host or the folder of a socket, and a port."""
    given = dict(dsn.parameters)
    first = dsn.parts.netloc.rpartition("@")[2].split(",")[0]
    host, _, port = first.rpartition(":") if re.search(r":\d+$", first) else (first, "", "")
    host = unquote(host).strip("[]") or given.get("host", "").split(",")[0] or "127.0.0.1"
    return host, int(port or given.get("port", "").split(",")[0] or 5432)


def installed_version() -> tuple[int, ...] | None:
    """The version of the PgBouncer on this machine, if there is one."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        return None
    try:
        said = subprocess.run(  # noqa: S603 - a program by its full path, no shell
            [program, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def ini(files: Files, language: Language) -> Iterator[str]:
    """The lines of pgbouncer.ini, each with its reason above it."""
    yield f"; {say('pool.title', language, host=files.upstream.host, port=files.upstream.port)}"
    yield "[databases]"
    for line in files.advice.databases:
        yield from _told(line, language)
    for name in files.advice.left_out:
        yield f"; {say('pool.left_out_database', language, name=printable(name))}"
    yield "\n[pgbouncer]"
    for line in files.advice.settings:
        yield from _told(line, language)
    if not files.upstream.may_read_verifiers:
        yield f"\n; {say('pool.lookup', language)}"
        yield from (f"; {line}" for line in AUTH_QUERY_SQL.splitlines())


def document(files: Files, target: str, preset: str | None, written: list[str], language: Language) -> Document:
    """The same for programs, without a verifier."""
    reads = files.upstream.may_read_verifiers
    return {
        "target": target,
        "preset": preset,
        "databases": [{"name": line.name, "value": line.value} for line in files.advice.databases],
        "settings": [
            {"name": line.name, "value": line.value, "on": not line.switched_off, "why": _why(line, language)}
            for line in files.advice.settings
        ],
        "userlist": {
            "method": "verifiers" if reads else "auth_query",
            "roles": files.roles,
            "left_out": [
                {"role": role, "reason": why, "detail": say(f"pool.left.{why}", language)}
                for role, why in files.left_out.items()
            ],
        },
        "sql": "" if reads else AUTH_QUERY_SQL,
        "written": written,
    }


def _told(line: Line, language: Language) -> Iterator[str]:
    if line.why:
        yield f"; {_why(line, language)}"
    yield line.written


def _why(line: Line, language: Language) -> str:
    return say(f"pool.{line.why}", language, **line.values)


def _print(files: Files, language: Language, *, with_userlist: bool) -> None:
    for line in ini(files, language):
        print(line)
    if with_userlist:
        print(f"\n; --- {USERLIST}\n{files.userlist}", end="")
    for note in _notes(files, language) if with_userlist else [*_counted(files, language), *_notes(files, language)]:
        print(f"; {note}")


def _counted(files: Files, language: Language) -> Iterator[str]:
    if files.upstream.may_read_verifiers:
        yield say("pool.userlist", language, roles=files.roles)


def _notes(files: Files, language: Language) -> Iterator[str]:
    for role, why in files.left_out.items():
        yield say("pool.left_out_role", language, role=printable(role), why=say(f"pool.left.{why}", language))


def _write(folder: Path, files: Files, language: Language) -> list[str]:
    """Both files, new and readable by their owner alone; or neither."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    texts = {INI: "\n".join(ini(files, language)) + "\n", USERLIST: files.userlist}
    begun: list[Path] = []
    try:
        for name, text in texts.items():
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            begun.append(folder / name)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
    except OSError:  # raised again, once what was begun is cleared away
        for path in begun:
            path.unlink(missing_ok=True)
        raise
    return [str(path) for path in begun]


def _refuse_what_exists(folder: Path) -> None:
    for name in (INI, USERLIST):
        if os.path.lexists(folder / name):
            raise TobanError(WHAT, f"{folder / name} exists", "name another folder with --out, and compare them")


def _preset(written: str | None) -> Preset | None:
    if written is None or written in list(Preset):
        return Preset(written) if written else None
    raise UsageError(WHAT, f"no preset {written!r}", f"there are {', '.join(Preset)}")


def _target(configuration: Configuration, name: str | None) -> PostgresqlTarget:
    servers = [target for target in configuration.targets if isinstance(target, PostgresqlTarget)]
    found = [target for target in servers if name in (None, target.name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            WHAT, "several PostgreSQL targets", f"name one with --target: {', '.join(t.name for t in found)}"
        )
    raise NotFoundError(WHAT, f"no PostgreSQL target {name or ''}".rstrip(), "`toban status` names the targets")


def _tls(dsn: Dsn) -> dict[str, str]:
    given = dict(dsn.parameters)
    if given.get("sslmode") not in TLS_MODES:
        return {}
    # `system` is libpq's word for the authorities of this machine, which PgBouncer takes where no file is named.
    return {ours: given[theirs] for theirs, ours in TLS.items() if given.get(theirs, "system") != "system"}
