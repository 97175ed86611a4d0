"""Advice as JSON-ready dictionaries: what `toban advise … --json` prints and the API answers."""

from typing import TYPE_CHECKING, Any

from collectors.postgresql.bloat_advice import bloat_advice
from collectors.postgresql.index_advice import index_advice
from daemon.security_advice import security_advice
from toban.advice import Advice
from toban.bloat import Bloat
from toban.catalogue import say
from toban.findings import Finding
from toban.language import Language

if TYPE_CHECKING:
    from daemon.world import World

Document = dict[str, Any]


def advice_document(advice: Advice, language: Language) -> Document:
    """One piece of advice with its reason, for programs as a key with values and for people as a sentence."""
    return {
        "target": advice.target,
        "database": advice.database,
        "subject": advice.subject,
        "action": advice.action,
        "present": advice.present,
        "wanted": advice.wanted,
        "run": advice.run,
        "why": why(advice, language),
        "reason": advice.reason,
        "values": dict(advice.values),
        "gain_bytes": advice.gain_bytes,
    }


def index_documents(world: "World", target: str | None, language: Language = Language.EN) -> list[Document]:
    """Advice on indexes by what is known now. Watched standbys bear witness, whichever target was asked for."""
    found = index_advice(world.current.rows(world.clock.monotonic(), object))
    return [advice_document(advice, language) for advice in found if target in (None, advice.target)]


def bloat_documents(world: "World", target: str | None, language: Language = Language.EN) -> list[Document]:
    """Advice on bloat by what is known now."""
    found = bloat_advice(world.current.rows(world.clock.monotonic(), Bloat, target=target))
    return [advice_document(advice, language) for advice in found]


def security_documents(world: "World", target: str | None, language: Language = Language.EN) -> list[Document]:
    """What is not as it should be, by what is known now."""
    found = security_advice(world.current.rows(world.clock.monotonic(), Finding, target=target))
    return [advice_document(advice, language) for advice in found]


def advice_of(document: Document) -> Advice:
    """The way back: what the daemon advised, to be worded here."""
    return Advice(**{key: value for key, value in document.items() if key != "why"})


def why(advice: Advice, language: Language) -> str:
    """The sentence behind it."""
    return say(f"advice.{advice.reason}", language, **advice.values)
