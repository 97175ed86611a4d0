"""A page put together from sections is an ordinary gzip member, however often its parts are used again."""

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from daemon.http.exposition import Exposition, Format
from daemon.http.sections import Section, packed, plain
from tests.builders import a_collection, a_sample


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=2000), max_size=6))
def test_packed_sections_unpack_to_the_plain_page(texts: list[str]) -> None:
    """Checksum and size are those of the whole, and one member is all there is."""
    sections = [Section(text) for text in texts]
    for _ in range(2):
        whole = packed(sections)
        assert gzip.decompress(whole) == plain(sections) == "".join(texts).encode()
        member = zlib.decompressobj(wbits=31)
        member.decompress(whole)
        assert (member.eof, member.unused_data) == (True, b"")


def test_a_collector_that_did_not_turn_keeps_its_section_and_one_that_did_gets_a_new_one() -> None:
    """What is the same as at the last scrape is neither written nor compressed again."""
    exposition, registry = Exposition(), CollectorRegistry()
    slow, quick = a_collection(collector="sizes"), a_collection(collector="activity")
    first = list(exposition.page([slow, quick], registry, Format.PLAIN))
    turned = a_collection(a_sample(value=7.0), collector="activity")
    second = list(exposition.page([slow, turned], registry, Format.PLAIN))
    assert second[1] is first[1]
    assert second[0] is not first[0]
    assert b" 7.0\n" in plain(second)


def test_pages_of_different_scope_do_not_take_each_others_sections() -> None:
    """`/probe` of one target between two scrapes of all of them."""
    exposition, registry = Exposition(), CollectorRegistry()
    both = [a_collection(target="a"), a_collection(target="b")]
    assert plain(exposition.page(both, registry, Format.PLAIN)).count(b"target=") == 2
    assert plain(exposition.page(both[:1], registry, Format.PLAIN, scope="a")).count(b"target=") == 1
    assert plain(exposition.page(both, registry, Format.OPENMETRICS)).endswith(b"# EOF\n")


def test_a_target_that_left_is_on_no_kept_section() -> None:
    """Nor is its memory held."""
    exposition, registry = Exposition(), CollectorRegistry()
    exposition.page([a_collection(target="a"), a_collection(target="b")], registry, Format.PLAIN)
    exposition.forget("a")
    assert b'"a"' not in plain(exposition.page([a_collection(target="b")], registry, Format.PLAIN))
    assert len(exposition._sections) == 1
