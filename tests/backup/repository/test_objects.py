"""A copy in object storage, on a real S3 server."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository.copies import store as store_module
from backup.repository.copies.contract import Copy
from backup.repository.copies.opening import copy_of
from backup.repository.copies.store import PART_BYTES, Store
from backup.repository.forms import checksum
from backup.repository.repository import Repository
from backup.settings import Copy as Settings
from tests.backup.repository.builders import a_base, a_draft, unheard
from tests.backup.repository.conftest import Make
from tests.builders import START, ManualClock
from toban.backups import BackupRecord, Belief, Check, Progress, Status, Trouble, Verification
from toban.secrets import Secret

if TYPE_CHECKING:
    from backup.repository.copies.objects import ObjectCopy

pytestmark = pytest.mark.integration
SEGMENT = "000000010000000000000001"
LARGE_BYTES = PART_BYTES + 1


@pytest.fixture(autouse=True)
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into one part is large here: six megabytes are as good as a hundred."""
    monkeypatch.setattr(store_module, "WHOLE_BYTES", PART_BYTES)


async def test_object_copy_gives_back_what_it_was_given(
    offsite: Copy, repository: Repository, make: Make, around: Surroundings, bucket: Settings, tmp_path: Path
) -> None:
    """A backup with large, small and oddly named files, and its marks, comes back byte by byte elsewhere."""
    large = os.urandom(LARGE_BYTES + 12345)
    record = await make(a_draft(notes=("日本語",)), **{"large.tar": large, 'a/"q" ü/空 白.dump': b"x", "empty": b""})
    verified = Verification(at=START, checks=(Check(name="sha256", ok=True),))
    record = await repository.mark(record, lambda marks: replace(marks, verification=verified))
    await offsite.push(record, unheard)
    (there,) = await offsite.records()
    assert (there.manifest, there.marks, there.status) == (record.manifest, record.marks, Status.OK)
    elsewhere = Repository(tmp_path / "elsewhere", around=around)
    await elsewhere.open()
    again = copy_of(bucket, elsewhere)
    brought = await again.pull((await again.records())[0], unheard)
    assert (brought.manifest, brought.marks) == (record.manifest, record.marks)
    assert (Path(brought.place) / "large.tar").read_bytes() == large
    assert (Path(brought.place) / 'a/"q" ü/空 白.dump').read_bytes() == b"x"
    assert all(check.ok for check in await elsewhere.check_files(brought, unheard))


async def test_object_copy_is_complete_with_its_manifest_alone(
    offsite: Copy, repository: Repository, make: Make, bucket: Settings, manual_clock: ManualClock
) -> None:
    """What was sent in half has no manifest and is no backup; it is completed by the next try, or swept after days."""
    record = await make(a=b"x" * 10, b=b"y" * 10)
    store = Store.of(bucket)
    place = f"main/dump/{record.id}"
    await store.write(f"{place}/a", b"half", new=True)
    await store.write(f"{place}/stray", b"of another try", new=True)
    assert await offsite.records() == ()
    assert await offsite.sweep() == ()
    manual_clock.jump(30 * 86400.0)  # the server's clock is the machine's
    assert await offsite.sweep() == (f"{place} in offsite: it was never completed",)
    assert await store.sizes(place) == {}
    await store.write(f"{place}/stray", b"of another try", new=True)
    await offsite.push(record, unheard)
    assert sorted(await store.sizes(place)) == [f"{place}/{name}" for name in ("a", "b", "manifest.json")]
    assert await offsite.sweep() == ()


async def test_object_copy_sends_once_and_learns_what_became_known(
    offsite: Copy, repository: Repository, make: Make
) -> None:
    """Pushed again nothing is sent but marks; another backup of the same id is refused."""
    record = await make(a_base())
    daily = await make(a_base("daily", at=START + 10, parent=record.id))
    await offsite.push(daily, unheard)
    assert [one.id for one in await offsite.records()] == [daily.id, record.id]
    heard: list[Progress] = []
    record = await repository.mark(record, lambda marks: replace(marks, pinned="audit"))
    await offsite.push(record, heard.append)
    assert heard == []
    assert (await offsite.records())[1].marks.pinned == "audit"
    await repository.remove(daily, "to make another")
    (repository.root / "main" / "base" / daily.id).mkdir()
    other = await make(a_base("daily", at=START + 10, parent=record.id, tag="other"))
    assert other.id != daily.id
    forged = replace(other, manifest=replace(other.manifest, id=daily.id))
    with pytest.raises(BackupError, match="another backup of that id is in offsite"):
        await cast("ObjectCopy", offsite)._push(forged, unheard)


async def test_object_copy_knows_a_manifest_that_another_version_wrote(
    offsite: Copy, make: Make, bucket: Settings
) -> None:
    """With a field more or less it is the same backup: else what builds on it could be sent no more."""
    full = await make(a_base())
    await offsite.push(full, unheard)
    store, key = Store.of(bucket), f"main/base/{full.id}/manifest.json"
    said = json.loads(await store.read(key, most_bytes=10_000) or b"")
    older = {name: value for name, value in said.items() if name not in ("tag", "checksum")}
    await store.write(key, json.dumps(older | {"checksum": checksum(older)}).encode(), new=False)
    daily = await make(a_base("daily", at=START + 10, parent=full.id))
    await offsite.push(daily, unheard)
    assert [one.id for one in await offsite.records()] == [daily.id, full.id]


async def test_file_that_is_gone_here_is_said_of_here(offsite: Copy, make: Make) -> None:
    """Small or in parts: the disk here is named, not the store there."""
    for record in (await make(a=b"x"), await make(a_draft("large"), a=bytes(LARGE_BYTES))):
        path = Path(record.place) / "a"
        path.unlink()
        with pytest.raises(BackupError, match=f"{path}: No such file or directory") as caught:
            await offsite.push(record, unheard)
        assert caught.value.trouble is Trouble.REPOSITORY


async def test_object_copy_that_is_removed_in_half_is_none(
    offsite: Copy, make: Make, bucket: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest goes first: what stays when the line breaks then is no backup, and is swept some day."""
    record = await make(a=b"x", z=b"y")
    await offsite.push(record, unheard)
    (there,) = await offsite.records()
    genuine = Store.delete

    async def once(store: Store, keys: Sequence[str]) -> None:
        await genuine(store, keys[:1])
        raise BackupError("copy offsite", "the line broke", trouble=Trouble.UNREACHABLE)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "delete", once)
        with pytest.raises(BackupError, match="the line broke"):
            await offsite.remove(there, "too old")
    assert await offsite.records() == ()
    place = f"main/dump/{record.id}"
    assert sorted(await Store.of(bucket).sizes(place)) == [f"{place}/a", f"{place}/z"]


async def test_object_copy_refuses_what_is_rotten(offsite: Copy, make: Make, bucket: Settings) -> None:
    """A file that is not what was written, small or in parts, is not sent, and no manifest follows it."""
    record = await make(a=os.urandom(1000))
    (Path(record.place) / "a").write_bytes(bytes(1000))
    large = await make(a_draft("large"), a=os.urandom(LARGE_BYTES))
    with (Path(large.place) / "a").open("r+b") as file:
        file.write(b"other")
    for one in (record, large):
        with pytest.raises(BackupError, match="is not what was written, and is not copied") as caught:
            await offsite.push(one, unheard)
        assert caught.value.trouble is Trouble.DAMAGED
    assert await offsite.records() == ()
    assert list(await Store.of(bucket).sizes("main")) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("missing", "a is missing"),
        ("short", "a is of another size"),
        ("beside", "z is none of its files"),
        ("edited", "its manifest.json does not agree with its own checksum"),
    ],
)
async def test_object_copy_that_was_changed_there_is_damaged(
    offsite: Copy, repository: Repository, make: Make, bucket: Settings, change: str, reason: str
) -> None:
    """Objects removed, replaced, added or edited by others are seen by the list; such a one is not brought back."""
    record = await make(a=b"x" * 10)
    await offsite.push(record, unheard)
    store, place = Store.of(bucket), f"main/dump/{record.id}"
    match change:
        case "missing":
            await store.delete([f"{place}/a"])
        case "short":
            await store.write(f"{place}/a", b"x", new=False)
        case "beside":
            await store.write(f"{place}/z", b"x", new=False)
        case "edited":
            manifest = (Path(record.place) / "manifest.json").read_bytes()
            await store.write(f"{place}/manifest.json", manifest.replace(b"nightly", b"nightlx", 1), new=False)
    (found,) = await offsite.records()
    assert (found.status, found.trouble) == (Status.DAMAGED, Trouble.DAMAGED)
    assert reason in found.reason


async def test_object_copy_with_other_bytes_is_not_brought_back(
    offsite: Copy, repository: Repository, make: Make, bucket: Settings
) -> None:
    """Of the right size and with another content: found while it is brought back, and nothing of it stays."""
    record = await make(a=b"x" * 10)
    await offsite.push(record, unheard)
    await Store.of(bucket).write(f"main/dump/{record.id}/a", b"y" * 10, new=False)
    await repository.remove(record, "by mistake")
    with pytest.raises(BackupError, match="a is not what was written") as caught:
        await offsite.pull((await offsite.records())[0], unheard)
    assert caught.value.trouble is Trouble.DAMAGED
    assert repository.records() == ()
    await Store.of(bucket).write(f"main/dump/{record.id}/a", b"y" * 9, new=False)
    with pytest.raises(BackupError, match="a has 9 bytes there, not 10"):
        await offsite.pull(record_at(await offsite.records()), unheard)


def record_at(records: tuple[BackupRecord, ...]) -> BackupRecord:
    """The only one."""
    (found,) = records
    return found


async def test_object_copy_lets_go_of_a_backup(offsite: Copy, repository: Repository, make: Make) -> None:
    """Removed it is gone with all its objects; one whose parent is gone cannot be brought back."""
    full = await make(a_base())
    daily = await make(a_base("daily", at=START + 10, parent=full.id))
    await offsite.push(daily, unheard)
    newest, oldest = await offsite.records()
    await offsite.remove(oldest, "too old")
    assert await offsite.records() == (newest,)
    with pytest.raises(BackupError, match=f"builds on {full.id}, which is not in offsite") as caught:
        await offsite.pull(newest, unheard)
    assert caught.value.trouble is Trouble.MISSING


async def test_object_copy_brings_parents_back_first(offsite: Copy, repository: Repository, make: Make) -> None:
    """An incremental backup comes with what it builds on."""
    full = await make(a_base())
    daily = await make(a_base("daily", at=START + 10, parent=full.id))
    await offsite.push(daily, unheard)
    for record in (daily, full):
        await repository.remove(record, "by mistake")
    assert await offsite.pull((await offsite.records())[0], unheard) == daily
    assert repository.records() == (daily, full)


async def test_object_copy_takes_wal_and_gives_it_back(offsite: Copy, repository: Repository, bucket: Settings) -> None:
    """Segments go there once, are never replaced there, and come back."""
    place = repository.wal_place("main")
    place.mkdir(parents=True)
    for name, content in ((SEGMENT, b"a" * 100), ("00000002.history", b"b"), (f"{SEGMENT}.partial", b"c")):
        (place / name).write_bytes(content)
    assert await offsite.push_wal("main", unheard) == 2
    assert await offsite.push_wal("main", unheard) == 0
    assert await offsite.wal("main") == {SEGMENT: 100, "00000002.history": 1}
    (place / SEGMENT).unlink()
    assert await offsite.pull_wal("main", [SEGMENT], unheard) == 1
    assert await offsite.pull_wal("main", None, unheard) == 0
    assert (place / SEGMENT).read_bytes() == b"a" * 100
    with pytest.raises(BackupError, match="is there already, and is not replaced"):
        await Store.of(bucket).write(f"main/wal/{SEGMENT}", b"other", new=True)
    assert await offsite.remove_wal("main", [SEGMENT, "x"]) == 1
    assert list(await offsite.wal("main")) == ["00000002.history"]
    place.joinpath("identity.json").mkdir()
    place.chmod(0o700)
    (place / "00000002.history").unlink()
    place.rename(place.with_name("elsewhere"))
    place.write_text("a file in the way")
    with pytest.raises(BackupError, match="Not a directory"):
        await offsite.pull_wal("main", None, unheard)


async def test_object_copy_describes_itself(offsite: Copy, bucket: Settings, repository: Repository) -> None:
    """Somebody who finds the bucket reads what it is; a second opening leaves that as it is."""
    store = Store.of(bucket)
    first = await store.read("repository.json", most_bytes=10_000)
    assert first is not None
    assert repository.identity is not None
    assert repository.identity.encode() in first
    await offsite.open()
    assert await store.read("repository.json", most_bytes=10_000) == first
    with pytest.raises(BackupError, match=r"repository\.json is larger than 5 bytes"):
        await store.read("repository.json", most_bytes=5)


@pytest.mark.parametrize(
    ("changed", "trouble", "hint"),
    [
        ({"url": "s3://nowhere-to-be-found/x"}, Trouble.MISSING, "is its url right, and the bucket there?"),
        ({"options": {"endpoint": "http://127.0.0.1:1", "region": "us-east-1"}}, Trouble.UNREACHABLE, ""),
        ({"options": {"nonsense": "x"}}, Trouble.CONFIGURATION, "look at its url and options"),
        ({"url": "ftp://x/y"}, Trouble.CONFIGURATION, "look at its url and options"),
    ],
)
async def test_object_copy_that_cannot_be_used_says_why(
    repository: Repository,
    bucket: Settings,
    changed: dict[str, object],
    trouble: Trouble,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bucket that is not there, nobody at that port, a key that nobody knows; and never with a secret in it."""
    monkeypatch.setattr(store_module, "MOST_RETRIES", 0)
    settings = bucket.model_copy(update=changed)
    with pytest.raises(BackupError) as caught:
        await copy_of(settings, repository).open()
    assert (caught.value.trouble, caught.value.hint, caught.value.what) == (trouble, hint, "copy offsite")
    assert "very/secret+key" not in caught.value.line


async def test_object_copy_without_its_extra_says_what_to_install(
    repository: Repository, bucket: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Obstore is an extra."""
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(BackupError, match="obstore is not installed") as caught:
        copy_of(bucket, repository)
    assert (caught.value.trouble, caught.value.hint) == (Trouble.PROGRAM, "pip install 'toban[offsite]'")


@pytest.mark.parametrize(
    ("settings", "config", "client"),
    [
        (
            {"url": "s3://b", "options": {"Endpoint": "https://s3.example.org", "connect_timeout": "5s"}},
            {"endpoint": "https://s3.example.org", "access_key_id": "id", "secret_access_key": "word"},
            {"timeout": "120 seconds", "connect_timeout": "5s"},
        ),
        (
            {"url": "az://a/b", "options": {"endpoint": "http://127.0.0.1:1", "use_emulator": "true"}},
            {"endpoint": "http://127.0.0.1:1", "use_emulator": True, "account_name": "id", "account_key": "word"},
            {"timeout": "120 seconds", "allow_http": True},
        ),
        (
            {"url": "gs://b", "options": {"bearer_token": Secret("t")}},
            {"bearer_token": "t", "application_credentials": "id", "service_account_key": "word"},
            {"timeout": "120 seconds"},
        ),
    ],
)
def test_options_reach_the_store_that_they_are_for(
    settings: dict[str, Any], config: dict[str, object], client: dict[str, object]
) -> None:
    """Keys have the names that each kind of store wants; plain HTTP is spoken where the endpoint says so."""
    chosen = Settings(name="x", access_key=Secret("id"), secret_key=Secret("word"), **settings)
    assert store_module._config(chosen) == config
    assert store_module._client_options(chosen) == client


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (PermissionError("no"), Trouble.PRIVILEGE),
        (FileExistsError("x"), Trouble.REPOSITORY),
        (OSError("Generic error with word in it\nand a trace"), Trouble.UNREACHABLE),
    ],
)
def test_errors_of_the_store_become_sentences(error: Exception, trouble: Trouble) -> None:
    """One line, by its trouble, without the secret."""
    found = store_module._sentence("copy x", error, ["word"], "key")
    assert found.trouble is trouble
    assert "word" not in found.line
    assert "trace" not in found.line
    with pytest.raises(ZeroDivisionError), store_module._translated("x", ()):
        raise ZeroDivisionError


async def test_object_copy_with_spoilt_marks_believes_nothing(
    offsite: Copy, repository: Repository, make: Make, bucket: Settings
) -> None:
    """As in the repository: what somebody wrote there proves nothing, and keeps it."""
    record = await make()
    await offsite.push(record, unheard)
    await Store.of(bucket).write(f"main/dump/{record.id}/marks.json", b"{}", new=False)
    (found,) = await offsite.records()
    assert found.belief is Belief.STORED
    assert "its marks cannot be read" in (found.marks.pinned or "")
