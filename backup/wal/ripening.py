"""What a receiver has written, packed as the place wants it. It blocks: from the loop it is called in a thread.

pg_receivewal writes segments as they are, because it takes up its work again from what it finds, and what it has of a
segment counts only in the clear. So the newest stays as it is; those before are compressed and sealed here.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from backup.wal.manner import Manner
from backup.wal.piping import PIECE_BYTES
from backup.wal.place import discard, disk_failure, sync_folder
from backup.wal.pushing import clear, lay, name_for, same
from backup.wal.segments import Named, parse, segment_name, segment_number
from toban.backups import Trouble

MOST_AT_ONCE: Final = 4  # a daemon that ends waits for them
_HIDDEN: Final = "zstd"  # the one compression that pg_receivewal of every version looks past


def ripen(place: Path, manner: Manner, *, most: int = MOST_AT_ONCE) -> int:
    """Pack the finished segments but the newest, some at a time; how many there were."""
    if not manner.packing():
        return 0
    try:
        plain = [named for named in _known(place) if named.kind == "segment" and named.plain == named.name]
        ripe = sorted(plain, key=lambda named: (named.plain[8:], named.plain[:8]))[:-1][:most]
        for named in ripe:
            _pack(place, named, manner)
    except OSError as error:
        raise disk_failure(error, str(place)) from error
    return len(ripe)


def begin_at(place: Path, segment: str, manner: Manner) -> None:
    """Have pg_receivewal begin with this segment: it goes on with the newest that is not finished.

    What lies behind it is hidden, as a server wrote that was left: else it would go on with that.
    """
    hides = manner.seal or manner.compression[0] == _HIDDEN
    hiding = manner if hides else Manner(compress=_HIDDEN, programs=manner.programs)
    try:
        for named in _known(place):
            if named.segment[8:] > segment[8:]:
                _pack(place, named, hiding)
            elif named.kind == "partial" and manner.packing():
                _pack(place, named, manner)
        os.close(os.open(place / f"{segment}.partial", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync_folder(str(place))
    except OSError as error:
        raise disk_failure(error, str(place)) from error


def wanted_next(place: Path, segment_bytes: int) -> str:
    """The segment that pg_receivewal goes on with: the unfinished one, or that behind the newest; empty at first."""
    newest = max(_known(place), key=lambda named: (named.segment[8:], named.timeline), default=None)
    if newest is None or newest.kind == "partial":
        return newest.segment if newest is not None else ""
    return segment_name(newest.timeline, segment_number(newest.segment, segment_bytes) + 1, segment_bytes)


def mend(place: Path, segment_bytes: int) -> tuple[str, ...]:
    """Remove beginnings that pg_receivewal would stumble over for ever: cut off while it was still writing zeros."""
    mended = []
    for named in _known(place):
        path = place / named.name
        if named.kind == "partial" and 0 < path.stat().st_size < segment_bytes and _is_empty(path):
            discard(str(path))
            mended.append(named.name)
    return tuple(mended)


def _is_empty(path: Path) -> bool:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            if any(piece):
                return False
    return True


def _known(place: Path) -> list[Named]:
    """The segments that pg_receivewal takes for such, finished or not."""
    found = [parse(name) for name in os.listdir(place)]  # noqa: PTH208 - names are all that is wanted
    return [named for named in found if named is not None and _is_known(named)]


def _is_known(named: Named) -> bool:
    if named.kind == "partial":
        return named.plain == named.name
    return named.kind == "segment" and not named.seal and named.compression != _HIDDEN


def _pack(place: Path, named: Named, manner: Manner) -> None:
    folder = str(place)
    with tempfile.TemporaryFile(dir=place) if named.compression else (place / named.name).open("rb") as file:
        source = file.fileno()
        if named.compression:
            for piece in clear(named, folder, manner):
                file.write(piece)
            file.flush()
        if not os.fstat(source).st_size:
            discard(f"{folder}/{named.name}")  # a beginning that nothing ever followed
            return
        if named.kind == "partial":  # it may have been packed before, and has grown since
            discard(f"{folder}/{name_for(named, manner)}")
        try:
            lay(source, named, folder, manner)
        except FileExistsError:  # packed already, and cut off before the one in the clear was gone
            _check_double(source, named, folder, manner)
    discard(f"{folder}/{named.name}")
    sync_folder(folder)


def _check_double(source: int, named: Named, folder: str, manner: Manner) -> None:
    packed = parse(name_for(named, manner))
    if packed is None or not same(source, packed, folder, manner):
        what = f"{folder}/{named.name}"
        raise BackupError(what, "is there twice, and the two differ", "keep both, and look", trouble=Trouble.DAMAGED)
