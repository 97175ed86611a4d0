"""What a receiver has written, packed as the place wants it. It blocks: from the loop it is called in a thread.

pg_receivewal writes segments as they are, because it takes up its work again from what it finds, and what it has of a
segment counts only in the clear. So the newest stays as it is; those before are compressed and sealed here.
"""

import os
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from backup.wal.manner import Manner
from backup.wal.piping import PIECE_BYTES
from backup.wal.place import discard, disk_failure, sync_folder
from backup.wal.pushing import lay, name_for, same
from backup.wal.segments import Named, parse
from toban.backups import Trouble

MOST_AT_ONCE: Final = 32
_PUT_AWAY: Final = "zstd:1"  # the one compression that pg_receivewal of every version looks past


def ripen(place: Path, manner: Manner, *, all_of_them: bool = False, most: int = MOST_AT_ONCE) -> int:
    """Pack the finished segments but the newest, some at a time; how many there were."""
    if not manner.packing():
        return 0
    plain = sorted(_in_the_clear(place, "segment"), key=lambda named: (named.plain[8:], named.plain[:8]))
    ripe = plain if all_of_them else plain[:-1]
    try:
        for named in ripe[:most]:
            _pack(place, named, manner)
    except OSError as error:
        raise disk_failure(error, str(place)) from error
    return len(ripe[:most])


def put_away(place: Path, manner: Manner) -> None:
    """Make everything look finished to pg_receivewal, so that it begins anew where the server stands."""
    packing = manner if manner.packing() else Manner(compress=_PUT_AWAY, programs=manner.programs)
    try:
        for kind in ("segment", "partial"):
            for named in _in_the_clear(place, kind):
                _pack(place, named, packing)
    except OSError as error:
        raise disk_failure(error, str(place)) from error


def mend(place: Path, segment_bytes: int) -> tuple[str, ...]:
    """Remove beginnings that pg_receivewal would stumble over for ever: cut off while it was still writing zeros."""
    mended = []
    for named in _in_the_clear(place, "partial"):
        path = place / named.name
        if 0 < path.stat().st_size < segment_bytes and _is_empty(path):
            discard(str(path))
            mended.append(named.name)
    return tuple(mended)


def begin_at(place: Path, segment: str) -> None:
    """Have pg_receivewal begin with this segment: it goes on with the newest that is not finished."""
    path = place / f"{segment}.partial"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    sync_folder(str(place))


def _is_empty(path: Path) -> bool:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            if any(piece):
                return False
    return True


def _in_the_clear(place: Path, kind: str) -> list[Named]:
    found = [parse(name) for name in os.listdir(place)]  # noqa: PTH208 - names are all that is wanted
    return [named for named in found if named is not None and named.kind == kind and named.plain == named.name]


def _pack(place: Path, named: Named, manner: Manner) -> None:
    folder = str(place)
    source = os.open(place / named.name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not os.fstat(source).st_size:
            discard(str(place / named.name))  # a beginning that nothing ever followed
            return
        os.fsync(source)
        if named.kind == "partial":  # it may have been put away before, and has grown since
            discard(f"{folder}/{name_for(named, manner)}")
        try:
            lay(source, named, folder, manner)
        except FileExistsError:  # packed already, and cut off before the one in the clear was gone
            _check_double(source, named, folder, manner)
    finally:
        os.close(source)
    discard(str(place / named.name))
    sync_folder(folder)


def _check_double(source: int, named: Named, folder: str, manner: Manner) -> None:
    packed = parse(name_for(named, manner))
    if packed is None or not same(source, packed, folder, manner):
        what = f"{folder}/{named.name}"
        raise BackupError(what, "is there twice, and the two differ", "keep both, and look", trouble=Trouble.DAMAGED)
