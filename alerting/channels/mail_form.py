"""A letter as a mail: headers that keep an episode in one thread, plain text first, and HTML beside it."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from alerting.channels.fitting import fitted
from alerting.channels.mail_page import page
from alerting.messages import Letter
from toban.alerts import Severity, What
from toban.clock import moment

SUBJECT_LETTERS: Final = 200
MOST_TEXT_LETTERS: Final = 20_000
_POLICY = SMTP.clone(cte_type="7bit")  # what any server takes, whatever it says that it can
_OF_NO_EPISODE = frozenset({What.DIGEST, What.UNDELIVERED, What.TEST})
_ENCODED_WORD = "=?"


def mail(letter: Letter, *, sender: Address, to: tuple[Address, ...], now: float) -> EmailMessage:
    """The mail of a letter: the same Message-ID over every retry."""
    message, alert = letter.message, letter.notice.alert
    form = EmailMessage(policy=_POLICY)
    form["From"] = sender
    form["To"] = to
    form["Subject"] = _header(message.title)
    form["Date"] = format_datetime(moment(now))
    form["Message-ID"] = f"<{letter.key}@{sender.domain}>"
    if letter.notice.what not in _OF_NO_EPISODE:
        root = f"<{alert.episode}@{sender.domain}>"
        form["In-Reply-To"] = root
        form["References"] = root
    form["Auto-Submitted"] = "auto-generated"
    form["X-Auto-Response-Suppress"] = "All"
    form["X-Toban-Severity"] = message.severity.value
    form["X-Toban-State"] = message.state.value
    if message.severity is Severity.CRITICAL and letter.notice.what in _URGENT:
        form["Importance"] = "high"
        form["X-Priority"] = "1"
    form.set_content(_text(letter))
    form.add_alternative(page(letter), subtype="html")
    return form


_URGENT = frozenset({What.FIRED, What.WORSENED, What.ESCALATED, What.REPEATED, What.LAPSED, What.NO_DATA})


def _header(text: str) -> str:
    """On one line; and nothing in it that a reader would decode, for what comes out might hold a line end."""
    return fitted(text, SUBJECT_LETTERS).replace(_ENCODED_WORD, "= ?")


def _text(letter: Letter) -> str:
    """Readable without HTML: on a pager, in a terminal, in a log."""
    lines = [letter.message.title, "", *letter.message.text.split("\n")]
    if letter.url:
        lines += ["", letter.url]
    bounded = "\n".join(fitted(line, MOST_TEXT_LETTERS) for line in lines)
    return bounded[:MOST_TEXT_LETTERS] + "\n"
