"""The packed form gives back exactly what went in, and is small."""

import math
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from history.packing import PackingError, pack_readings, pack_slots, unpack_readings, unpack_slots
from history.slots import Slot

moments = st.integers(min_value=-(2**52), max_value=2**52)
numbers = st.one_of(st.floats(width=64), st.integers(-(2**54), 2**54).map(float))
readings = st.lists(st.tuples(moments, numbers), max_size=300)
slots = st.lists(st.builds(Slot, st.integers(0, 2**40), st.integers(0, 2**40), *[numbers] * 4), max_size=100)


def bits(value: float) -> bytes:
    """All 64 of them: equality would take every NaN for different and both zeros for the same."""
    return struct.pack("<d", value)


@given(readings)
@example([(0, -0.0), (1, 0.0), (2, math.nan), (3, math.inf)])
@example([(-(2**52), 2.0**53), (2**52, -(2.0**53))])
def test_packing_of_readings_is_exact_to_the_bit(given_readings: list[tuple[int, float]]) -> None:
    """Every float comes back with all its 64 bits, NaN and negative zero included."""
    found = unpack_readings(pack_readings(given_readings))
    assert [(at, bits(value)) for at, value in found] == [(at, bits(value)) for at, value in given_readings]


@given(slots)
def test_packing_of_slots_is_exact_to_the_bit(given_slots: list[Slot]) -> None:
    """Every slot comes back with all its columns."""
    found = unpack_slots(pack_slots(given_slots))
    assert [(s[:2], [*map(bits, s[2:])]) for s in found] == [(s[:2], [*map(bits, s[2:])]) for s in given_slots]


@given(st.binary(max_size=200))
def test_packing_refuses_foreign_bytes_with_its_own_error(body: bytes) -> None:
    """Whatever lies in a spoilt chunk, reading it ends in readings or in a PackingError."""
    try:
        unpack_readings(body)
    except PackingError:
        return


def test_packing_names_a_chunk_cut_short() -> None:
    """A chunk that lost its tail is told as such."""
    whole = pack_readings([(at, float(at)) for at in range(100)])
    with pytest.raises(PackingError):
        unpack_readings(whole[: len(whole) // 2])


_BITS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)


@given(_BITS)
@example([(0, 255), (1, 255), (2, 255), (3, 255)])  # a count for which no machine has the memory
@example([(4, 0)])  # moments as what they never are
def test_packing_refuses_a_chunk_with_spoilt_bytes_with_its_own_error(spoilt: list[tuple[int, int]]) -> None:
    """Deflated bytes have no checksum: whatever a spoilt disk makes of them is readings or a PackingError."""
    raw = bytearray(zlib.decompress(pack_readings([(at, at / 3) for at in range(40)]), -zlib.MAX_WBITS))
    for place, byte in spoilt:
        raw[place % len(raw)] = byte
    try:
        unpack_readings(zlib.compress(raw, 1, -zlib.MAX_WBITS))
    except PackingError:
        return


def test_packing_takes_no_memory_for_a_spoilt_count() -> None:
    """A count and a kind of column that ask for a hundred times the bytes there are: refused before."""
    raw = bytearray(zlib.decompress(pack_readings([(0, 0.1)]), -zlib.MAX_WBITS))
    raw[2], raw[4] = 0x40, 0  # four million numbers, each of eight bytes
    tracemalloc.start()
    try:
        with pytest.raises(PackingError, match="4194305 numbers"):
            unpack_readings(zlib.compress(raw, 1, -zlib.MAX_WBITS))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_packing_names_a_chunk_of_another_kind() -> None:
    """Readings are no slots."""
    with pytest.raises(PackingError):
        unpack_slots(pack_readings([(at, float(at)) for at in range(100)]))


def test_packing_refuses_moments_beyond_64_bits() -> None:
    """A difference that does not fit is an error here, not a wrong number later."""
    with pytest.raises(PackingError):
        pack_readings([(-(2**62), 0.0), (2**63 - 1, 0.0)])


def test_packing_makes_a_steady_gauge_tiny() -> None:
    """An hour of one value takes less than a byte a reading."""
    body = pack_readings([(1_795_000_000_000 + 15_000 * n, 100.0) for n in range(240)])
    assert len(body) < 60


def test_packing_makes_a_counter_small() -> None:
    """An hour of a steadily growing counter takes two or three bytes a reading."""
    body = pack_readings([(1_795_000_000_000 + 15_000 * n, 1e9 + n * 1000 + n * n % 97) for n in range(240)])
    assert len(body) < 240 * 3
