"""Claims about the page of a mail in a real browser: it says what the alert says, it fits a telephone, nothing runs."""

import re
from html import unescape
from pathlib import Path

import pytest

from alerting.channels.mail_page import page
from tests.alerting.browsers import rendered
from tests.alerting.letters import NASTY, a_letter, a_message, a_notice, an_alert
from tests.alerting.scenes import a_document
from toban.alerts import Key, What
from toban.language import Language

pytestmark = pytest.mark.integration
# Runs behind the mail in the test's own browser: what is visible, how wide it is, and whether anything had run before.
PROBE = """<script>
document.title = "ran=" + (window.ran === undefined ? "nothing" : "something")
  + " wide=" + (document.documentElement.scrollWidth > window.innerWidth ? "yes" : "no");
const seen = document.createElement("pre");
seen.id = "seen";
seen.textContent = document.body.innerText;
document.body.append(seen);
</script>"""


def seen(mail: str, folder: Path) -> tuple[str, str]:
    """What the browser found out, and the visible text."""
    document = rendered(mail.replace("</body>", PROBE + "</body>"), folder)
    title = re.search(r"<title>(.*?)</title>", document, re.DOTALL)
    text = re.search(r'<pre id="seen">(.*?)</pre>', document, re.DOTALL)
    assert title
    assert text
    return unescape(title[1]), unescape(text[1])


@pytest.mark.parametrize("language", Language)
def test_mail_shows_the_alert(language: Language, tmp_path: Path) -> None:
    """Everything in it is visible on the screen of a telephone, without scrolling aside."""
    message = a_message(language=language, evidence=a_document(), acknowledge_url="https://toban.example.org/ack/1")
    found, text = seen(page(a_letter(message=message)), tmp_path)
    assert found == "ran=nothing wide=no"
    wanted = [message.title, message.summary, message.runbook, message.footer]
    wanted += [*message.evidence, *message.commands, *(part for fact in message.facts for part in fact)]
    assert [piece for piece in wanted if piece not in text] == []


def test_mail_runs_nothing_that_somebody_named(tmp_path: Path) -> None:
    """Markup in a label, a note or an address is text; no script, no picture and no link comes of it."""
    evil = NASTY + "<script>window.ran=1</script><img src=x onerror='window.ran=1'>" + "x" * 3000
    alert = an_alert(key=Key("disk", evil, (("mount", evil),)), note=evil, acknowledged_by=evil, runbook=evil)
    message = a_message(a_notice(alert, What.ESCALATED), acknowledge_url="javascript:window.ran=1")
    mail = page(a_letter(a_notice(alert), message, url="javascript:window.ran=1"))
    found, text = seen(mail, tmp_path)
    assert found == "ran=nothing wide=no"
    assert "<script>alert(1)</script>" in text
    assert "href" not in mail
