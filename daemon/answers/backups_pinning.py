"""`toban backup pin|unpin`: what a person wants kept is never removed."""

from dataclasses import replace

from daemon.answers.backups_opening import Place, carried_out, opened
from daemon.answers.printing import console, plain, print_json
from daemon.asked_alerts import words_asked
from daemon.documents_backups import backup_document
from toban.backups import Marks
from toban.catalogue import say


def answer(place: Place, *, backup: str, why: str | None, as_json: bool) -> int:
    """Pin it with the reason, or let it go again."""
    words = words_asked("--why", why, needed=True) if why is not None else None

    def change(marks: Marks) -> Marks:
        return replace(marks, pinned=words)

    async def work() -> int:
        async with opened(place) as shelf:
            record = await shelf.repository.mark(shelf.repository.record(backup), change)
            if as_json:
                print_json(backup_document(record, shelf.zone))
            else:
                key = "backups.pin.done" if words is not None else "backups.unpin.done"
                said = say(key, shelf.language, id=record.id, **({"why": words} if words is not None else {}))
                console().print(plain(said), soft_wrap=True)
            return 0

    return carried_out(work)
