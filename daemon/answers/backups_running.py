"""`toban backup run`: by the running daemon, whose progress is shown; where none runs, here."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from backup.errors import BackupError
from daemon.answers.alerts_telling import myself, tell_line_by_line
from daemon.answers.asking import Asked, listens
from daemon.answers.backups_keeping import keeping
from daemon.answers.backups_opening import Place, carried_out, known
from daemon.answers.backups_progress import Telling
from daemon.answers.printing import console, plain, print_json
from daemon.asked_alerts import who_asked
from daemon.asked_backups import tag_asked
from daemon.documents import Document
from daemon.documents_backups import backup_document
from toban.backups import Progress, Trouble
from toban.catalogue import say
from toban.errors import NotFoundError, TobanError, UnavailableError, UsageError
from toban.language import Language
from toban.units import seconds_text, size_text

SILENCE_SECONDS = 60.0  # the daemon says every ten seconds that it is at it
OK = "ok"


def answer(place: Place, *, name: str, tag: str | None, as_json: bool) -> int:
    """Make one; 1 where it failed, or is damaged."""
    tag_asked(tag)
    found = known(place)
    language = found.language
    if found.configuration is not None and listens(found.configuration.socket_path):
        asked = Asked(configuration=found.configuration, language=language)
        made = _by_daemon(asked, name, tag, as_json=as_json)
    else:
        made = _alone(place, name, tag, as_json=as_json)
    if as_json:
        print_json(made)
    else:
        console().print(plain(_sentence(made, language)), soft_wrap=True)
    return 0 if made["status"] == OK else 1


def _by_daemon(asked: Asked, name: str, tag: str | None, *, as_json: bool) -> Document:
    """Whoever stops waiting does not stop the daemon: that is said."""
    path, body = f"/api/v1/backups/{quote(name, safe='')}/run", {"tag": tag, "who": who_asked(myself(None))}
    try:
        with Telling(asked.language, quiet=as_json) as tell:
            for event in tell_line_by_line(asked, path, body, seconds=SILENCE_SECONDS):
                if event["event"] == "progress":
                    tell(progress_of(event))
                elif event["event"] == "failed":
                    raise failure_of(event)
                elif event["event"] == "done":
                    made: Document = event["backup"]
                    return made
    except KeyboardInterrupt:
        print(say("backups.goes_on", asked.language), file=sys.stderr)
        raise
    except json.JSONDecodeError as error:
        raise UnavailableError("the daemon", "broke off in the middle of a line", "toban backup list") from error
    raise UnavailableError("the daemon", "stopped talking before the backup was made", "toban backup list")


def _alone(place: Place, name: str, tag: str | None, *, as_json: bool) -> Document:
    async def work() -> Document:
        async with keeping(place) as kept:
            with Telling(kept.shelf.language, quiet=as_json) as tell:
                record = await kept.keeper.run(name, tell, tag=tag)
            kept.tell()
            return backup_document(record, kept.shelf.zone)

    return carried_out(work)


def progress_of(event: Mapping[str, Any]) -> Progress:
    """As the daemon tells it."""
    return Progress(
        phase=event["phase"], done_bytes=event["done_bytes"], total_bytes=event["total_bytes"], what=event["what"]
    )


def failure_of(event: Mapping[str, Any]) -> TobanError:
    """The daemon's error as one of our own, with its exit status."""
    what, why, hint, trouble = event["what"], event["why"], event["hint"], event["trouble"]
    if trouble is not None and trouble in set(Trouble):
        return BackupError(what, why, hint, trouble=Trouble(trouble))
    kinds: dict[int, type[TobanError]] = {2: UsageError, 3: UnavailableError}
    return kinds.get(event["exit_status"], NotFoundError)(what, why, hint)


def _sentence(made: Document, language: Language) -> str:
    if made["status"] != OK:
        return say("backups.verdict.damaged", language, id=made["id"], why=made["reason"])
    belief = say(f"backups.belief.{made['belief']}", language)
    span = seconds_text(_span(made), language)
    return say("backups.made", language, id=made["id"], size=size_text(made["size_bytes"]), span=span, belief=belief)


def _span(made: Document) -> float:
    begun, ended = (datetime.fromisoformat(made[name]) for name in ("created_at", "finished_at"))
    return max(0.0, (ended - begun).total_seconds())
