"""The packed form of readings and slots: columns, each as differences in byte planes, deflated together. Pure, exact.

Whole numbers are written as differences; other numbers are XORed with the one before. Either way neighbours share
their high bytes, and a plane of equal bytes deflates to next to nothing. All the work on bytes is done in C: slices,
big integers, zlib.
"""

import struct
import zlib
from collections.abc import Sequence
from itertools import accumulate, pairwise

from history.rates import Reading
from history.slots import Slot

_HEAD = struct.Struct("<I")
_COLUMN = struct.Struct("<Bq")  # how it is written, and the first number
_XORED = 0
_WIDTHS = {1: "b", 2: "h", 4: "i", 8: "q"}  # bytes a difference, written as its own number
_WHOLE = float(2**53)  # beyond, a float no longer tells neighbouring whole numbers apart
_LEVEL = 6


class PackingError(ValueError):
    """These bytes were not packed here."""


def pack_readings(readings: Sequence[Reading]) -> bytes:
    """Readings as bytes."""
    moments, values = [at for at, _ in readings], [value for _, value in readings]
    return _deflate(len(readings), [_integers(moments), _floats(values)])


def unpack_readings(body: bytes) -> list[Reading]:
    """The readings again."""
    moments, values = _columns(body, 2)
    return list(zip(_integral(moments), values, strict=True))


def pack_slots(slots: Sequence[Slot]) -> bytes:
    """Slots as bytes."""
    columns = list(zip(*slots, strict=True)) or [()] * len(Slot._fields)
    at, count, *numbers = columns
    return _deflate(len(slots), [_integers(at), _integers(count), *map(_floats, numbers)])


def unpack_slots(body: bytes) -> list[Slot]:
    """The slots again."""
    at, count, *numbers = _columns(body, len(Slot._fields))
    return list(map(Slot._make, zip(_integral(at), _integral(count), *numbers, strict=True)))


def _deflate(count: int, columns: list[bytes]) -> bytes:
    return zlib.compress(_HEAD.pack(count) + b"".join(columns), _LEVEL, -zlib.MAX_WBITS)


def _columns(body: bytes, number: int) -> list[list[float]]:
    try:
        raw = zlib.decompress(body, -zlib.MAX_WBITS)
        (count,) = _HEAD.unpack_from(raw)
        found, offset = [], _HEAD.size
        for _ in range(number):
            column, offset = _column(raw, offset, count)
            found.append(column)
    except (zlib.error, struct.error, KeyError, ValueError) as error:
        raise PackingError(str(error)) from error
    return found


def _integral(column: Sequence[float]) -> list[int]:
    try:
        return list(map(int, column))
    except (ValueError, OverflowError) as error:
        raise PackingError(str(error)) from error


def _column(raw: bytes, offset: int, count: int) -> tuple[list[float], int]:
    kind, first = _COLUMN.unpack_from(raw, offset)
    offset += _COLUMN.size
    if kind == _XORED:
        end = offset + 8 * count
        if end > len(raw):  # or a count that is none would ask for all the memory there is
            raise PackingError(f"{count} numbers in {len(raw)} bytes")
        return _unxored(_gathered(raw[offset:end], 8), count), end
    end = offset + kind * max(count - 1, 0)
    steps = struct.unpack(f"<{max(count - 1, 0)}{_WIDTHS[kind]}", _gathered(raw[offset:end], kind))
    return list(map(float, accumulate(steps, initial=first)))[:count], end


def _floats(values: Sequence[float]) -> bytes:
    if all(_is_whole(value) for value in values):
        return _integers([int(value) for value in values])
    written = struct.pack(f"<{len(values)}d", *values)
    number = int.from_bytes(written, "little")
    mixed = (number ^ (number << 64)) & ((1 << (64 * len(values))) - 1)
    return _COLUMN.pack(_XORED, 0) + _scattered(mixed.to_bytes(len(written), "little"), 8)


def _unxored(mixed: bytes, count: int) -> list[float]:
    """Each number is the XOR of all before it: summed up by doubling, as whole big integers."""
    number, shift, mask = int.from_bytes(mixed, "little"), 64, (1 << (64 * count)) - 1
    while shift < 64 * count:
        number ^= (number << shift) & mask
        shift *= 2
    return list(struct.unpack(f"<{count}d", number.to_bytes(8 * count, "little")))


def _is_whole(value: float) -> bool:
    """Whether the value survives as a whole number. A negative zero does not."""
    return -_WHOLE < value < _WHOLE and value == int(value) and (value != 0 or str(value)[0] != "-")


def _integers(values: Sequence[int]) -> bytes:
    if not values:
        return _COLUMN.pack(1, 0)
    steps = [after - before for before, after in pairwise(values)]
    width = _width(min(steps, default=0), max(steps, default=0))
    written = struct.pack(f"<{len(steps)}{_WIDTHS[width]}", *steps)
    return _COLUMN.pack(width, values[0]) + _scattered(written, width)


def _width(lowest: int, highest: int) -> int:
    for width in _WIDTHS:
        limit = 1 << (8 * width - 1)
        if -limit <= lowest and highest < limit:
            return width
    raise PackingError(f"{lowest} to {highest} is beyond 64 bits")


def _scattered(written: bytes, width: int) -> bytes:
    return b"".join(written[place::width] for place in range(width))


def _gathered(planes: bytes, width: int) -> bytes:
    whole, each = bytearray(len(planes)), len(planes) // width
    for place in range(width):
        whole[place::width] = planes[place * each : (place + 1) * each]
    return bytes(whole)
