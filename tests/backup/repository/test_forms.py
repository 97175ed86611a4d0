import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backup.repository.forms import FormError, parsed, parsed_manifest, written, written_manifest
from toban.backups import (
    Check,
    DrillRecord,
    Manifest,
    Marks,
    Method,
    RestoreProof,
    Scope,
    StoredFile,
    TableRows,
    Verdict,
    Verification,
)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
words = st.text(st.characters(codec=None), max_size=20)  # also what is no text: names of files may be anything
names = words.filter(lambda name: "/" not in name and "\0" not in name and name not in ("", ".", ".."))
counts = st.integers(0, 2**63)
moments = st.floats(0, 4e9)
seconds = st.dictionaries(words, st.floats(0, 1e6), max_size=3)
anything = st.recursive(
    st.none() | st.booleans() | counts | moments | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
checks = st.lists(st.builds(Check, name=words, ok=st.none() | st.booleans(), detail=words), max_size=3).map(tuple)
proofs = st.builds(
    RestoreProof,
    backup=words,
    proved_at=moments,
    verdict=st.sampled_from(Verdict),
    reason=words,
    checks=checks,
    phases=seconds,
    read_bytes=counts,
    rpo_seconds=st.none() | moments,
    rto_seconds=st.none() | moments,
)
marks = st.builds(
    Marks,
    verification=st.none() | st.builds(Verification, at=moments, checks=checks, seconds=moments),
    proof=st.none() | proofs,
    inconclusive=st.none() | proofs,
    pinned=st.none() | words,
    copies=seconds,
)
manifests = st.builds(
    Manifest,
    id=st.just("20261118T110640Z-nightly"),
    name=words,
    target=st.just("main"),
    kind=words,
    method=st.just(Method.DUMP),
    engine=words,
    scope=st.sampled_from(Scope),
    parent=st.none() | words,
    tag=st.none() | words,
    created_at=moments,
    finished_at=moments,
    files=st.lists(st.builds(StoredFile, path=names, size_bytes=counts, sha256=words), max_size=3).map(tuple),
    rows=st.lists(
        st.builds(TableRows, database=words, schema=words, table=words, rows=counts, exact=st.booleans()), max_size=3
    ).map(tuple),
    databases=st.lists(words, max_size=3).map(tuple),
    notes=st.lists(words, max_size=3).map(tuple),
    tools=st.dictionaries(words, words, max_size=3),
    phases=seconds,
    detail=st.dictionaries(words, anything, max_size=3),
)


@UNHURRIED
@given(manifests)
def test_manifest_reads_back_as_it_was_written(manifest: Manifest) -> None:
    """Whatever stands in it, in every script, and names that are no text at all."""
    assert parsed_manifest(written_manifest(manifest), "main", Method.DUMP, manifest.id) == manifest


@UNHURRIED
@given(marks)
def test_marks_read_back_as_they_were_written(known: Marks) -> None:
    """Verification, proofs, pins and copies."""
    assert parsed(written(known), Marks) == known


@UNHURRIED
@given(manifests, st.data())
def test_manifest_with_any_byte_flipped_is_refused_or_the_same(manifest: Manifest, data: st.DataObject) -> None:
    """A flipped bit is found wherever it is, unless it only changed how the same is spelt."""
    content = bytearray(written_manifest(manifest))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert parsed_manifest(bytes(content), "main", Method.DUMP, manifest.id) == manifest
    except FormError:
        return


def test_names_are_readable_in_the_file() -> None:
    """Japanese stays Japanese where a person reads the manifest."""
    drill = DrillRecord(
        id="x", name="四半期", target="main", backup="x", at=1.0, wanted="latest", ok=True, reason="すべて戻った"
    )
    content = written(drill)
    assert "四半期" in content.decode()
    assert json.loads(content)["format"] == 1
    assert parsed(content, DrillRecord) == drill


def test_number_that_is_none_is_refused_when_it_is_written() -> None:
    """What JSON has no word for would be read by nobody."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        written(Marks(copies={"nas": float("nan")}))
