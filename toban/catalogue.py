"""Every sentence that a person reads, in English and in Japanese: one table from key to both.

No sentence has a plural: `targets: 1` reads as well as `targets: 3`. Numbers arrive as text out of `toban.units`.
"""

from toban.catalogue_advice import ADVICE
from toban.catalogue_alert_tables import ALERT_TABLES
from toban.catalogue_alerts import ALERTS
from toban.catalogue_backups import BACKUPS
from toban.catalogue_bloat import BLOAT
from toban.catalogue_channels import CHANNELS
from toban.catalogue_daemon import DAEMON
from toban.catalogue_describe import DESCRIBE
from toban.catalogue_events import EVENTS
from toban.catalogue_health import HEALTH
from toban.catalogue_indexes import INDEXES
from toban.catalogue_locks import LOCKS
from toban.catalogue_pool import POOL
from toban.catalogue_security import SECURITY
from toban.catalogue_settings import SETTINGS
from toban.catalogue_tables import TABLES
from toban.language import Language, choose_language
from toban.outcomes import Reason

__all__ = ["CATALOGUE", "Language", "choose_language", "say", "say_reason"]

CATALOGUE: dict[str, tuple[str, str]] = (
    HEALTH
    | ALERT_TABLES
    | ALERTS
    | CHANNELS
    | DAEMON
    | TABLES
    | DESCRIBE
    | ADVICE
    | EVENTS
    | SETTINGS
    | INDEXES
    | BACKUPS
    | BLOAT
    | LOCKS
    | POOL
    | SECURITY
)
_PLACE = {Language.EN: 0, Language.JA: 1}


def say(key: str, language: Language, **values: object) -> str:
    """The sentence of `key` with its values. A key or a value that is missing is a fault, which a test finds."""
    return CATALOGUE[key][_PLACE[language]].format_map(values)


def say_reason(reason: Reason, language: Language) -> str:
    """Why something is empty, in a few words."""
    return say(f"reason.{reason}", language)
