"""WAL that a server has really written, and base backups that end in it."""

from pathlib import Path

import pytest

from backup.wal.manner import Manner
from backup.wal.pushing import push
from backup.wal.segments import lsn_number, lsn_text, segment_number
from tests.backup.wal.places import PLAIN, SEGMENT_BYTES, a_repository
from tests.clusters import Cluster
from toban.backups import BackupRecord, Manifest, Method, Status

pytestmark = pytest.mark.integration
ZSTD = Manner(compress="zstd:1")
LZ4 = Manner(compress="lz4:1")
GZIP = Manner(compress="gzip:1")


class Written:
    """Six segments of a server whose segments have 1 MB, and when the last commit of each was."""

    def __init__(self, folder: Path, segments: list[str], times: list[float], cluster: Cluster) -> None:
        self.folder = folder
        self.segments = segments
        self.times = times
        self.now_at = lsn_number(cluster.psql("select pg_current_wal_lsn()"))

    def into(self, root: Path, manner: Manner = PLAIN, *, without: tuple[int, ...] = ()) -> Path:
        """A place in which they lie, but for some."""
        place = a_repository(root) / "main" / "wal"
        for number, segment in enumerate(self.segments):
            if number not in without:
                push(self.folder / segment, place, manner)
        return place


def a_base(written: Written, *, number: int, finished_at: float, status: Status = Status.OK) -> BackupRecord:
    """A base backup that ended in one of the segments."""
    stop = lsn_text(segment_number(written.segments[number], SEGMENT_BYTES) * SEGMENT_BYTES + 0x100)
    told = Manifest(
        id=f"base-{number}",
        name="base",
        target="main",
        kind="postgresql",
        method=Method.BASE,
        engine="postgresql",
        created_at=finished_at - 1,
        finished_at=finished_at,
        start_lsn=stop,
        stop_lsn=stop,
        timeline=1,
    )
    return BackupRecord(manifest=told, status=status)
