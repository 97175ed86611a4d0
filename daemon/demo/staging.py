"""The demonstration from curtain to curtain: server, shop, daemon, what is seen, and nothing left behind."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from secrets import token_urlsafe

import structlog
import yaml

from daemon import logs
from daemon.answers.printing import console
from daemon.configuration.targets import with_host
from daemon.configuration.tree import Configuration
from daemon.demo.acts import Act
from daemon.demo.alarm import RULE, alarmed
from daemon.demo.keeping import Keeping, backing
from daemon.demo.load import prepare, trade
from daemon.demo.programs import find_programs
from daemon.demo.receiver import Receiver
from daemon.demo.scene import Scene, act_line, seen
from daemon.demo.server import ROLE, DemoServer
from daemon.service import Service
from daemon.setup.applying import apply
from daemon.setup.looking import look
from daemon.setup.plan import plan
from daemon.systemd import Notifier
from history.recording import History
from toban.catalogue import say
from toban.clock import SystemClock
from toban.config import WRITTEN
from toban.errors import UnavailableError, UsageError
from toban.language import Language, choose_language
from toban.outcomes import Failure, Reason
from toban.secrets import Dsn, Secret

INTERRUPTED = 130
LONGEST_HOME_BYTES = 60
ONCE_WITHIN_SECONDS = 60.0
PLAIN_LINE_SECONDS = 5.0
LIVE_SECONDS = 1.0
LOOK_SECONDS = 0.2
PASSING = frozenset({Reason.TIMEOUT, Reason.LOCKED, Reason.STUCK})
PORTS = range(15000, 32768)  # below those that the kernel gives to whoever connects: ours is taken seconds later
MOST_TRIES = 100
QUICK_EVERY = {
    "activity": "3s",
    "databases": "3s",
    "cpu": "3s",
    "memory": "3s",
    "sizes": "10s",
    "relations": "10s",
    "settings": "30s",
    "processes": "10s",
    "disks": "10s",
    "locks": "1s",
    "indexes": "30s",
}


def run_demo(*, once: bool, port: int, keep: Path | None, language: str | None) -> int:
    """Raise the curtain; the exit status."""
    spoken = choose_language(asked=language, configured=None, environ=os.environ)
    programs = find_programs()
    tell = _teller(spoken)
    home = _home(keep)
    server = DemoServer(programs, home, _free_port(), keep=keep is not None)
    try:
        tell("demo.starting", version=str(programs.folder))
        server.start()
        return asyncio.run(_play(server, port, tell, spoken, once=once))
    finally:
        tell("demo.cleaning" if keep is None else "demo.kept", directory=str(home))
        server.stop()
        tell("demo.cleaned") if keep is None else None


def _home(keep: Path | None) -> Path:
    """Where all of it stands; sockets among it, whose paths have to be short."""
    parent = keep.absolute() if keep else Path(tempfile.gettempdir())
    if len(os.fsencode(parent)) > LONGEST_HOME_BYTES:
        raise UsageError("demo", f"{parent} is too long a path for sockets", "give --keep or TMPDIR a shorter one")
    return parent if keep else Path(tempfile.mkdtemp(prefix="toban-demo-"))


async def _play(server: DemoServer, port: int, tell: Callable[..., None], language: Language, *, once: bool) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tell("demo.loading")
    await prepare(server.dsn("postgres"))
    await admit(Dsn(server.dsn("postgres")))
    shop = asyncio.create_task(trade(server.dsn("postgres")))
    secret = Secret(token_urlsafe(16))
    receiver = Receiver(secret, lambda heard: None if sys.stdout.isatty() else tell("demo.heard", title=heard.title))
    await receiver.open()
    tree = written(server, port, language) | alerting(receiver.url, secret) | backing(server.home)
    configuration = configured(tree)
    file = server.home / "config.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False))
    logs.configure(format="json", file=server.home / "toban.log", stream=sys.stderr, environ=os.environ)
    clock = SystemClock()
    history = await History.open(configuration.state_path, clock)
    service = Service(
        configuration, history, clock=clock, log=structlog.get_logger("toban"), notifier=Notifier({}, clock)
    )
    kept: asyncio.Task[list[Act]] | None = None
    try:
        await service.start()
        host, listening = service.front.address or ("", 0)
        tell("demo.watching", url=f"http://{host}:{listening}/metrics")
        keeping = Keeping(
            file, server.dsn("postgres"), language, _act_teller(language, quiet=once or sys.stdout.isatty())
        )
        plays = (alarmed(receiver, file, language, clock.monotonic), keeping.run())
        if once:
            return await _once(service, stop, language, plays)
        tell("demo.ask", program=_program(), config=str(file))
        tell("demo.stop_hint")
        plays[0].close()
        kept = asyncio.create_task(plays[1])
        await _until(stop, Scene(service.world, language, receiver, keeping.acts))
        return 0
    finally:
        if kept is not None:
            kept.cancel()
            await asyncio.wait([kept])
        shop.cancel()
        with suppress(asyncio.CancelledError, ExceptionGroup):
            await shop
        await service.stop()
        await receiver.close()


async def admit(dsn: Dsn) -> None:
    """Make the role that Toban connects as, by the steps of `toban setup postgresql --apply`."""
    found = plan(await look(dsn, ROLE, SystemClock(), backups=True))
    async for ran in apply(dsn, found.steps):
        if ran.failure is not None:
            raise UnavailableError("demo", f"{ran.step.sql}: {ran.failure.detail}")


def written(server: DemoServer, port: int, language: Language) -> dict[str, object]:
    """The daemon's configuration as a file holds it: the server, and its own state as an SQLite target."""
    state = server.home / "state" / "state.db"
    collect: dict[str, object] = {name: {"every": every} for name, every in QUICK_EVERY.items()}
    collect["statements"] = {"every": "5s", "texts": "5s", "enabled": server.programs.has_statements}
    return {
        "node": "demo",
        "language": str(language),
        "state": f"sqlite://{state}",
        "http": {"listen": f"127.0.0.1:{port}"},
        "targets": [
            {"name": "shop", "kind": "postgresql", "dsn": server.dsn()},
            {"name": "memory", "kind": "sqlite", "path": str(state)},
        ],
        "collect": collect,
    }


def alerting(url: str, secret: Secret) -> dict[str, object]:
    """Whom it tells, and of what: the queue at the till, sooner than in earnest."""
    soon = {"name": RULE, "warning": "> 3s", "critical": "> 1m", "clear": "< 1s", "keep": "1s"}
    return {
        "channels": {"receiver": {"kind": "webhook", "url": url, "secret": secret.reveal()}},
        "alerts": {"notify": {"warning": ["receiver"], "critical": ["receiver"]}, "rules": [soon]},
    }


def configured(tree: dict[str, object]) -> Configuration:
    """The same as the daemon takes it."""
    configuration = Configuration.model_validate(tree, context=WRITTEN)
    return configuration.model_copy(update={"targets": with_host(configuration.targets)})


def _program() -> str:
    """How this program was called, where a path was given; else by its name."""
    return sys.argv[0] if Path(sys.argv[0]).name == "toban" else "toban"


async def _once(
    service: Service, stop: asyncio.Event, language: Language, plays: tuple[Coroutine[None, None, list[Act]], ...]
) -> int:
    """Once around: all was measured, an alert told and answered, a backup made, restored and proven; 1 where not."""
    playing = [asyncio.create_task(play) for play in plays]
    try:
        status = await _measured(service, stop, language)
        for play in playing:
            status = status if stop.is_set() else max(status, await _told(play, stop, language))
        return status
    finally:
        for play in playing:
            play.cancel()
        await asyncio.wait(playing)


async def _told(play: "asyncio.Task[list[Act]]", stop: asyncio.Event, language: Language) -> int:
    """One story, as far as it came."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({play, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not play.done():
        return INTERRUPTED
    acts = play.result()
    for act in acts:
        console().print(act_line(act, language))
    return 0 if all(act.done for act in acts) else 1


async def _measured(service: Service, stop: asyncio.Event, language: Language) -> int:
    """Wait until every collector has measured, print what was seen; 1 when one of them has nothing to show."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ONCE_WITHIN_SECONDS):
            while not stop.is_set() and not _all_measured(service):  # noqa: ASYNC110 - no event tells of forty ledgers
                await asyncio.sleep(LOOK_SECONDS)
    if stop.is_set():
        return INTERRUPTED
    table, missing = seen(service.world, language)
    console().print(table)
    if missing:
        console().print(say("demo.not_all_worked", language, collectors=", ".join(missing)), style="bold red")
        return 1
    console().print(say("demo.all_worked", language), style="green")
    return 0


def _all_measured(service: Service) -> bool:
    """Whether each collector has shown something, or has told that it never will."""
    ledgers = [ledger for watch in service.world.watches.values() for ledger in watch.ledgers.values()]
    return all(ledger.last is not None and (ledger.last.samples or _stays(ledger.failure)) for ledger in ledgers)


def _stays(failure: Failure | None) -> bool:
    """Whether another turn would bring no more: what was down, locked or slow may be well at the next one."""
    return failure is not None and not failure.down and failure.reason not in PASSING


async def _until(stop: asyncio.Event, scene: Scene) -> None:
    """Show the live view on a terminal, a line now and then elsewhere."""
    if sys.stdout.isatty():
        await scene.live(stop, every_seconds=LIVE_SECONDS)
        return
    while not stop.is_set():
        print(scene.line(), flush=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(PLAIN_LINE_SECONDS):
                await stop.wait()


def _teller(language: Language) -> Callable[..., None]:
    def tell(key: str, **values: object) -> None:
        print(say(key, language, **values), flush=True)

    return tell


def _act_teller(language: Language, *, quiet: bool) -> Callable[[Act], None]:
    """Where there is no view to show it, each act is a line."""
    return (lambda _: None) if quiet else (lambda act: console().print(act_line(act, language)))


def _free_port() -> int:
    chance = SystemRandom()
    for _ in range(MOST_TRIES):
        port = chance.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise UnavailableError("demo", "no free port on this machine", "stop what listens, and try again")
