"""`toban backup prove`: restored into a server to throw away, looked at, and the verdict written on the backup."""

from collections.abc import Sequence

from daemon.answers.backups_keeping import Kept, keeping
from daemon.answers.backups_opening import Place, Shelf, carried_out
from daemon.answers.backups_progress import Telling
from daemon.answers.backups_story import checks_table, phases_line
from daemon.answers.printing import console, plain, print_json
from daemon.documents_backups import proof_document
from toban.backups import BackupRecord, RestoreProof, Verdict
from toban.catalogue import say
from toban.errors import NotFoundError
from toban.units import seconds_text

STYLES = {Verdict.PROVEN: "green", Verdict.DAMAGED: "bold red", Verdict.INCONCLUSIVE: "yellow"}


def prove(place: Place, *, backup: str | None, as_json: bool) -> int:
    """One, or the newest of each job that is to be proved; 1 unless every verdict is `proven`."""

    async def work() -> int:
        async with keeping(place) as kept:
            chosen = await _chosen(kept, backup)
            found: list[RestoreProof] = []
            for one in chosen:
                with Telling(kept.shelf.language, quiet=as_json) as tell:
                    found.append(await kept.keeper.prove(one, tell))
                if not as_json:
                    _tell(found[-1], kept.shelf)
            if as_json:
                documents = [proof_document(one, kept.shelf.zone) for one in found]
                print_json(documents if backup is None else documents[0])
            return 0 if all(one.verdict is Verdict.PROVEN for one in found) else 1

    return carried_out(work)


async def _chosen(kept: Kept, backup: str | None) -> Sequence[BackupRecord]:
    if backup is not None:
        return [kept.shelf.repository.record(backup)]
    newest = [await kept.keeper.newest(job.name) for job in kept.keeper.plan.provable]
    found = [one for one in newest if one is not None]
    if not found:
        raise NotFoundError("prove", "there is no backup yet that could be", "toban backup run NAME makes one")
    return found


def _tell(proof: RestoreProof, shelf: Shelf) -> None:
    language, out = shelf.language, console()
    key = f"backups.verdict.{proof.verdict}"
    said = say(key, language, id=proof.backup, why=proof.reason)
    out.print(f"[{STYLES[proof.verdict]}]{plain(said)}[/]", soft_wrap=True)
    out.print(checks_table("", proof.checks, language))
    if not proof.phases:  # it could not be begun
        return
    took = seconds_text(proof.duration_seconds, language)
    out.print(plain(f"{took}: {phases_line(proof.phases, language)}"), soft_wrap=True)
