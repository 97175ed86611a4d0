"""Backups that only the holder of a key can read, by the real age and the real GPG."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.programs import Programs
from backup.repository import repository as module
from backup.repository.repository import Repository
from backup.repository.sealing import suffix, unsealing
from backup.settings import Encryption
from tests.backup.keys import a_gpg_key, an_age_key, needs
from tests.backup.repository.builders import a_draft, unheard
from tests.backup.repository.conftest import Make, brisk
from toban.backups import BackupRecord, Status, Trouble

pytestmark = pytest.mark.integration
PLAIN = b"CREATE TABLE secret_things;" * 1000


@pytest.fixture(scope="session")
def age_key(tmp_path_factory: pytest.TempPathFactory) -> Encryption:
    """An identity of age's."""
    return an_age_key(tmp_path_factory.mktemp("age"))


@pytest.fixture(scope="session")
def gpg_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encryption]:
    """A key of GPG's without a passphrase, in a home of its own."""
    with a_gpg_key(tmp_path_factory.mktemp("g")) as key:
        yield key


@pytest.fixture(params=["age", "gpg"])
def encryption(request: pytest.FixtureRequest) -> Encryption:
    """Both ways, one after the other."""
    found: Encryption = request.getfixturevalue(f"{request.param}_key")
    return found


Seal = Callable[[Encryption | None], Repository]


@pytest.fixture
def sealed_with(tmp_path: Path, around: Surroundings) -> Seal:
    """The same repository, opened with this key or none."""
    return lambda chosen: Repository(tmp_path / "sealed", around=around, encryption=chosen, pause=brisk)


def new_identity(path: Path) -> Path:
    """Another one of age's."""
    subprocess.run(["age-keygen", "-o", str(path)], check=True, capture_output=True)
    return path


def files_of(record: BackupRecord) -> dict[str, Path]:
    """What lies there, by its name."""
    return {str(path.relative_to(record.place)): path for path in Path(record.place).rglob("*") if path.is_file()}


async def made(repository: Repository) -> BackupRecord:
    """A backup with files in folders, oddly named."""
    await repository.open()
    async with repository.making(a_draft()) as partial:
        (partial.place / "d").mkdir()
        (partial.place / "d" / "it's 表.sql").write_bytes(PLAIN)
        (partial.place / "empty").write_bytes(b"")
        return await partial.finish(partial.draft)


async def test_sealed_backup_holds_nothing_in_the_clear(encryption: Encryption, sealed_with: Seal) -> None:
    """What lies there is sealed, named so, and hashed as it lies: it can be checked without any key."""
    record = await made(sealed_with(encryption))
    end = suffix(encryption.method)
    assert [file.path for file in record.manifest.files] == [f"d/it's 表.sql{end}", f"empty{end}"]
    assert record.manifest.encryption == encryption.method
    found = files_of(record)
    assert set(found) == {f"d/it's 表.sql{end}", f"empty{end}", "manifest.json"}
    assert all(b"secret_things" not in path.read_bytes() for path in found.values())
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in found.values())
    assert all(check.ok for check in await sealed_with(None).check_files(record, unheard))


async def test_sealed_backup_comes_back_in_the_clear(
    encryption: Encryption, sealed_with: Seal, around: Surroundings
) -> None:
    """By a file, by a folder, and by a pipe; opened once, and nothing is written into the repository."""
    repository = sealed_with(encryption)
    record = await made(repository)
    contents = repository.contents(record, around.workspace)
    assert contents.names == ("d/it's 表.sql", "empty")
    path = await contents.path("d/it's 表.sql")
    assert path.read_bytes() == PLAIN
    assert path.is_relative_to(around.workspace)
    assert await contents.path("d/it's 表.sql") == path
    folder = await contents.folder()
    assert sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()) == sorted(contents.names)
    source, commands = contents.source("d/it's 表.sql")
    output = await around.children.run(*commands, source=source, within_seconds=60)
    assert output.checked("opening").stdout == PLAIN
    assert all(check.ok for check in await repository.check_files(record, unheard))


async def test_backup_in_the_clear_is_read_where_it_lies(
    repository: Repository, make: Make, around: Surroundings
) -> None:
    """Nothing is copied, and no program is needed."""
    record = await make(a=b"x")
    contents = repository.contents(record, around.workspace)
    place = Path(record.place)
    assert contents.source("a") == (place / "a", ())
    assert await contents.path("a") == place / "a"
    assert await contents.folder() == place


async def test_file_that_is_not_there_is_said(repository: Repository, make: Make, around: Surroundings) -> None:
    """One that the manifest does not name, and one that somebody removed."""
    record = await make(a=b"x")
    contents = repository.contents(record, around.workspace)
    (Path(record.place) / "a").unlink()
    for name, why in (("../../repository.json", "has no file"), ("a", "its file a is gone")):
        with pytest.raises(BackupError, match=why) as caught:
            contents.source(name)
        assert caught.value.trouble is Trouble.MISSING


async def test_flipped_byte_in_a_sealed_file_opens_nothing(
    encryption: Encryption, sealed_with: Seal, around: Surroundings
) -> None:
    """What was changed is not opened in half: the program's refusal is the error, and no file is left."""
    repository = sealed_with(encryption)
    record = await made(repository)
    stored = Path(record.place) / record.manifest.files[0].path
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    contents = repository.contents(record, around.workspace)
    with pytest.raises(BackupError, match="opening it's") as caught:
        await contents.path("d/it's 表.sql")
    assert "is the key under backups.encryption the one it was sealed for?" in caught.value.hint
    assert not [path for path in around.workspace.rglob("*.sql") if path.is_file()]


async def test_other_key_opens_nothing(
    age_key: Encryption, sealed_with: Seal, around: Surroundings, tmp_path: Path
) -> None:
    """With the wrong identity, and with none, the error says which is missing."""
    record = await made(sealed_with(age_key))
    other = new_identity(tmp_path / "other.txt")
    wrong = sealed_with(age_key.model_copy(update={"identity": other}))
    with pytest.raises(BackupError, match="no identity matched any of the recipients"):
        await wrong.contents(record, around.workspace).path("empty")
    for key in (None, age_key.model_copy(update={"identity": None})):
        with pytest.raises(BackupError, match="no identity to open the backup with") as caught:
            sealed_with(key).contents(record, around.workspace).source("empty")
        assert caught.value.trouble is Trouble.CONFIGURATION


def test_seal_that_nobody_knows_is_said() -> None:
    """A backup of a later Toban, sealed in another way."""
    with pytest.raises(BackupError, match="does not know how to open that"):
        unsealing("rot13", None, Programs())


@pytest.mark.parametrize("begun", [False, True])
async def test_wrong_recipient_makes_no_backup(
    sealed_with: Seal, monkeypatch: pytest.MonkeyPatch, *, begun: bool
) -> None:
    """It is found before an engine begins; and should it come up later, nothing is stored in the clear either."""
    needs("age")
    if begun:

        async def passed(*_: object) -> None:
            pass

        monkeypatch.setattr(module, "try_out", passed)
    repository = sealed_with(Encryption(method="age", recipients=("age1nobody",)))
    with pytest.raises(BackupError, match=r"sealing it's 表\.sql" if begun else "sealing by age: age ended") as caught:
        await made(repository)
    assert caught.value.hint == "are the recipients under backups.encryption right?"
    (record,) = repository.records()
    assert record.status is Status.FAILED
    assert not [path for path in (repository.root / "main").rglob("*") if path.is_file()]
