"""`toban advise settings`: asks each server for its settings, now, and its machine for what it has."""

import asyncio
import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from collectors.host.capacity import cpus, memory_bytes, rotational
from collectors.host.machine import HostMachine
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.settings_advice import CONNECTIONS, Setting, advise, names, settings_of
from collectors.postgresql.settings_figures import MB, Disk, Machine, Workload
from collectors.postgresql.sql import Query
from daemon.answers.advising import print_advice
from daemon.answers.asking import Asked
from daemon.configuration.targets import PostgresqlTarget
from toban.advice import Advice
from toban.catalogue import say
from toban.clock import SystemClock
from toban.config import parse_size
from toban.errors import NotFoundError, TobanError, UnavailableError, UsageError
from toban.language import Language
from toban.secrets import Dsn
from toban.units import size_text

LEAST_MEMORY = 256 * MB
ASK_SECONDS = 15.0
_PORT = re.compile(r":\d*$")
_QUERY = Query("settings_advice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a person said of the machine; None is for us to find out."""

    memory_bytes: int | None = None
    cpus: int | None = None
    disk: Disk | None = None
    connections: int | None = None
    workload: Workload = Workload.MIXED


def given(*, ram: str | None, cores: int | None, disk: str | None, connections: int | None, workload: str) -> Given:
    """The options, or what is wrong with them."""
    return Given(
        memory_bytes=None if ram is None else _memory(ram),
        cpus=cores,
        disk=None if disk is None else Disk(_one_of("--disk", disk, list(Disk))),
        connections=connections,
        workload=Workload(_one_of("--workload", workload, list(Workload))),
    )


def answer(asked: Asked, told: Given, *, target: str | None, as_json: bool, host: HostMachine | None = None) -> int:
    """Print the advice for each server; what keeps one from being advised is a line on its own."""
    found: list[Advice] = []
    errors: list[TobanError] = []
    for one in _chosen(asked, target):
        try:
            machine, advice = asyncio.run(_advised(one, told, host or HostMachine()))
        except TobanError as error:
            errors.append(error)
            continue
        found += advice
        if not as_json:  # where each piece of advice has it among its values
            print(_reckoned(one.name, machine, asked.language), file=sys.stderr)
    if errors and not found:
        raise errors[0]
    for obstacle in errors:
        print(obstacle.line, file=sys.stderr)
    print_advice(found, asked, as_json=as_json)
    return errors[0].exit_status if errors else 0


def is_local(dsn: Dsn) -> bool:
    """Whether a server is on this machine: every host that is named is a Unix socket or loops back."""
    named = dict(dsn.parameters).get("host", "") or dsn.parts.netloc.rpartition("@")[2] or os.environ.get("PGHOST", "")
    return all(map(_loops_back, named.split(",")))


def _loops_back(place: str) -> bool:
    host = unquote(place)
    if not host.startswith(("/", "@", "::")):
        host = _PORT.sub("", host).strip("[]")
    return host in ("", "localhost", "::1") or host.startswith(("/", "@", "127."))


def _chosen(asked: Asked, target: str | None) -> list[PostgresqlTarget]:
    servers = [one for one in asked.configuration.targets if isinstance(one, PostgresqlTarget)]
    found = [one for one in servers if target in (None, one.name)]
    if not found:
        names = ", ".join(one.name for one in servers)
        why = "there is no PostgreSQL target" if target is None else "no PostgreSQL target is called so"
        raise NotFoundError(target or "advise settings", why, f"there are: {names}" if names else "")
    return found


async def _advised(target: PostgresqlTarget, told: Given, host: HostMachine) -> tuple[Machine, list[Advice]]:
    source = PostgresServer(target.dsn, SystemClock(), target.limits, target.databases)
    try:
        async with asyncio.timeout(ASK_SECONDS):
            settings = settings_of(await source.fetch(_QUERY, names()))
    except Exception as error:  # the source has a reason for each, and one for a fault of our own
        failure = source.explain(error)
        raise UnavailableError(f"target {target.name}", failure.detail, failure.hint) from error
    finally:
        await source.close()
    machine = replace(_machine(target, told, settings, host), version=source.version)
    asked = told.connections is not None
    return machine, advise(target.name, machine, settings, asked_connections=asked, standby=source.in_recovery)


def _reckoned(target: str, machine: Machine, language: Language) -> str:
    """What the advice holds for. A virtual disk may call itself spinning, and only a person knows better."""
    return say(
        "advising.reckoned",
        language,
        target=target,
        memory=size_text(machine.memory_bytes),
        cpus=machine.cpus,
        disk=machine.disk.upper(),
        connections=machine.connections,
    )


def _machine(target: PostgresqlTarget, told: Given, settings: dict[str, Setting], host: HostMachine) -> Machine:
    memory, cores, disk = told.memory_bytes, told.cpus, told.disk
    if is_local(target.dsn):
        memory = memory_bytes(host) if memory is None else memory
        cores = cpus() if cores is None else cores
        disk = _disk(settings, host) if disk is None else disk
    where = "of this machine" if is_local(target.dsn) else "of another machine"
    missing = {"--ram 8GB": memory, "--cpus 4": cores, "--disk ssd": disk}
    lacking = [option for option, value in missing.items() if value is None]
    if memory is None or cores is None or disk is None:
        why = f"what it has cannot be seen {where}"
        raise UsageError(f"target {target.name}", why, f"say it: {' '.join(lacking)}")
    return Machine(
        memory_bytes=memory,
        cpus=cores,
        disk=disk,
        connections=told.connections or _number(settings, CONNECTIONS, 100),
        workload=told.workload,
        autovacuum_workers=_number(settings, "autovacuum_max_workers", 3),
        segment_bytes=_number(settings, "wal_segment_size", 16 * MB),
    )


def _disk(settings: dict[str, Setting], host: HostMachine) -> Disk | None:
    directory = settings.get("data_directory")  # not to be seen without pg_read_all_settings
    spins = rotational(host, None if directory is None else Path(directory.setting))
    return None if spins is None else Disk.HDD if spins else Disk.SSD


def _number(settings: dict[str, Setting], name: str, default: int) -> int:
    return int(settings[name].value) if name in settings else default


def _memory(text: str) -> int:
    try:
        size = parse_size(text)
    except ValueError as error:
        raise UsageError("--ram", str(error)) from error
    if size < LEAST_MEMORY:
        raise UsageError("--ram", f"{text} is too little to advise on", "write 8GB")
    return size


def _one_of(option: str, text: str, choices: list[Any]) -> str:
    if text not in choices:
        raise UsageError(option, f"{text!r} is none", f"there are: {', '.join(choices)}")
    return text
