"""The way back of what pgBackRest has made: by pgBackRest, but to a moment of our own choosing, and not past a gap."""

import asyncio
import os
import shlex
import shutil
from pathlib import Path
from typing import Final

from backup.engines.contract import Surroundings, Tell
from backup.engines.pgbackrest import label_of, stanza_of
from backup.errors import BackupError
from backup.programs import account
from backup.repository.turns import finished
from backup.restore.base import BaseRestorer
from backup.restore.basing.extracting import SPACES
from backup.restore.basing.feeding import Feed
from backup.restore.basing.planning import Plan, planned
from backup.restore.contract import Wanted
from backup.restore.recovery import TRANSPORT_STATUS
from toban.backups import Check, Progress, Trouble

WITHIN_SECONDS: Final = 24 * 3600.0
MODE: Final = 0o700
PASSABLE: Final = 0o711


class PgBackRestRestorer(BaseRestorer):
    """The way back of what `pgbackrest` has made."""

    async def _plan(self, wanted: Wanted, around: Surroundings) -> Plan:
        manifest = wanted.record.manifest
        stanza = stanza_of(manifest, around)
        known = any(one.label == label_of(manifest) for one in await stanza.taken())
        said = (
            f"pgBackRest has {label_of(manifest)}"
            if known
            else f"pgBackRest has no backup {label_of(manifest)} any more"
        )
        archive, size = str(manifest.detail["archive"]), int(manifest.detail["segment_bytes"])
        listing = await stanza.listing(archive, size, manifest.system_identifier or "")
        checks = (Check(name="label", ok=known, detail=said),)
        return await planned(wanted, around, listing, checks, begins=manifest.start_lsn)

    async def _laid_out(self, wanted: Wanted, plan: Plan, stage: Path, around: Surroundings, tell: Tell) -> list[str]:
        """By its own restore, without its settings for the recovery: they would lead to where this lies now."""
        tell(Progress(phase="files", total_bytes=wanted.record.manifest.source_bytes))
        spaces = stage.with_name("tablespaces")
        await asyncio.to_thread(_open, stage, spaces)
        manifest = wanted.record.manifest
        output = await stanza_of(manifest, around).run(
            *(f"--set={label_of(manifest)}", f"--pg1-path={stage}", "--type=none"),
            *(f"--tablespace-map-all={spaces}", f"--process-max={wanted.jobs}", "--log-level-stderr=warn", "restore"),
            within_seconds=WITHIN_SECONDS,
        )
        output.checked(f"restore of {wanted.record.id}")
        if not (stage / "backup_label").exists():
            why = "pgBackRest brought no backup_label: a server would start from the wrong place"
            raise BackupError(f"restore of {wanted.record.id}", why, trouble=Trouble.DAMAGED)
        return await finished(asyncio.to_thread(_link, stage, plan.site.path))

    async def _fed(self, wanted: Wanted, plan: Plan, stage: Path, around: Surroundings, tell: Tell) -> Feed:  # noqa: ARG002 - as others have it
        """By pgBackRest; what it fails with other than "not there" must end the recovery, and would not."""
        stanza = stanza_of(wanted.record.manifest, around)
        words = shlex.join(stanza.words(f"--pg1-path={plan.site.path}", "archive-get")).replace("%", "%%")
        command = f'{words} %f "%p"; s=$?; test $s -le 1 && exit $s; exit {TRANSPORT_STATUS}'
        return Feed(restore_command=command)


def _open(stage: Path, spaces: Path) -> None:
    """Let the account in that pgBackRest runs as; whose the files shall be comes last."""
    spaces.mkdir(mode=MODE)
    runs_as = account()
    if runs_as is not None:
        for folder in (stage, spaces):
            os.chown(folder, runs_as.uid, runs_as.gid)
        stage.parent.chmod(PASSABLE)


def _link(stage: Path, home: Path) -> list[str]:
    """The tablespaces below the data directory, and links to where they will be. It blocks."""
    found = []
    for link in sorted((stage / SPACES).iterdir()):
        kept = stage / "tablespaces" / link.name
        kept.parent.mkdir(mode=MODE, exist_ok=True)
        shutil.move(link.readlink(), kept)
        link.unlink()
        link.symlink_to(home / "tablespaces" / link.name)
        found.append(link.name)
    return found
