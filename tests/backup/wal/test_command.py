"""The fast path: what PostgreSQL starts for each segment, how it ends, and what it leaves to the ordinary command."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from backup.wal import digest
from backup.wal.command import answer, archive_command, restore_command
from backup.wal.digest import Known, keep, known
from backup.wal.manner import Manner, keep_manner, known_manner
from tests.backup.wal.places import PLAIN, a_file, a_place, a_segment, names_in
from tests.daemon.commanding import toban

FIRST, SECOND, FOURTH, SIXTH = (f"00000001000000000000000{number}" for number in (1, 2, 4, 6))
GZIP = Manner(compress="gzip:1")
# What a start of the fast path must never import: each costs more than all that it does.
HEAVY = ("typer", "pydantic", "asyncio", "dataclasses", "typing", "pathlib", "subprocess", "asyncpg", "structlog")


def words(action: str, *operands: object, root: Path) -> list[str]:
    """A command that needs no configuration."""
    return ["wal", action, *map(str, operands), "--repository", str(root / "repository"), "--target", "main"]


def test_command_pushes_and_fetches_with_no_configuration_at_all(tmp_path: Path) -> None:
    """A repository and a target are all it takes."""
    place = a_place(tmp_path)
    keep_manner_of(place)
    source = a_file(tmp_path / "pg_wal")
    assert answer(words("push", source, root=tmp_path), {}) == 0
    assert names_in(place) == [f"{FIRST}.gz"]
    assert answer(words("fetch", FIRST, tmp_path / "out", root=tmp_path), {}) == 0
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
    assert answer(words("fetch", SECOND, tmp_path / "out", root=tmp_path), {}) == 1


def keep_manner_of(place: Path) -> None:
    """A daemon has been here, and left word how this place is written."""
    keep_manner(str(place), GZIP)


def test_push_that_fails_ends_as_the_archiver_can_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above 125 PostgreSQL would count nothing; the line says what to do."""
    place = a_place(tmp_path, 1)
    other = a_file(tmp_path / "clone", content=a_segment(1, filling=b"other"))
    assert answer(words("push", other, root=tmp_path), {}) == 1
    assert capsys.readouterr().err.startswith(f"toban: {place}/{FIRST}: is there already, and is not the same (")
    (tmp_path / "repository").rename(tmp_path / "gone")
    assert answer(words("push", other, root=tmp_path), {}) == 3
    assert capsys.readouterr().err.startswith(f"toban: {tmp_path}/repository: is no repository: it has no")
    monkeypatch.setattr("backup.wal.pushing.push", faulty)
    assert answer(words("push", other, root=tmp_path), {}) == 1
    assert capsys.readouterr().err == "toban: internal fault: ZeroDivisionError: a bug\n"


def faulty(*_: object, **__: object) -> None:
    """A fault of our own."""
    raise ZeroDivisionError("a bug")


def test_fetch_that_fails_makes_the_recovery_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything up to 125 would be taken for the end of the WAL, and the server be promoted."""
    place = a_place(tmp_path, 1, 4)
    out = tmp_path / "out"
    assert answer(words("fetch", SECOND, out, root=tmp_path), {}) == 126
    assert f"{place}/{SECOND}: is missing, and {FOURTH} after it is there" in capsys.readouterr().err
    assert answer([*words("fetch", SECOND, out, root=tmp_path), "--accept-gap"], {}) == 1
    (place / "identity.json").write_text("{")
    assert answer(words("fetch", FIRST, out, root=tmp_path), {}) == 126
    (place / "manner.json").write_text("{")
    assert answer(words("fetch", FIRST, out, root=tmp_path), {}) == 126
    (place / "manner.json").unlink()
    (place / "manner.json").mkdir()  # as one that we may not read
    assert answer(words("fetch", FIRST, out, root=tmp_path), {}) == 126
    (place / "manner.json").rmdir()
    (tmp_path / "repository").rename(tmp_path / "gone")
    assert answer(words("fetch", FIRST, out, root=tmp_path), {}) == 126
    monkeypatch.setattr("backup.wal.fetching.fetch", faulty)
    assert answer(words("fetch", FIRST, out, root=tmp_path), {}) == 126


def test_fetch_of_a_standby_waits_at_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never promoted by itself, and may have what is missing from its primary."""
    a_place(tmp_path, 1, 4)
    data = tmp_path / "data"
    data.mkdir()
    (data / "standby.signal").touch()
    monkeypatch.chdir(data)
    assert answer(words("fetch", SECOND, tmp_path / "out", root=tmp_path), {}) == 1


def test_fetch_leaves_a_restored_server_to_the_wal_that_its_backup_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive may begin behind the backup; PostgreSQL asks it first all the same."""
    a_place(tmp_path, 4)
    data = tmp_path / "data"
    (data / "pg_wal").mkdir(parents=True)
    (data / "pg_wal" / SECOND).touch()
    monkeypatch.chdir(data)
    assert answer(words("fetch", SECOND, tmp_path / "out", root=tmp_path), {}) == 1
    assert answer(words("fetch", "000000010000000000000003", tmp_path / "out", root=tmp_path), {}) == 126
    (data / "pg_wal" / SIXTH).touch()
    (tmp_path / "repository" / "main" / "wal" / f"{SIXTH}.partial").write_bytes(a_segment(6, pages=1))
    assert answer([*words("fetch", SIXTH, tmp_path / "out", root=tmp_path), "--partial"], {}) == 1


def test_fetch_gives_the_unfinished_segment_to_whoever_wants_the_latest(tmp_path: Path) -> None:
    """`--partial`, as a restore to the latest moment has it."""
    place = a_place(tmp_path, 1)
    (place / f"{SECOND}.partial").write_bytes(a_segment(2, pages=3))
    assert answer([*words("fetch", SECOND, tmp_path / "out", root=tmp_path), "--partial"], {}) == 0


@pytest.mark.parametrize(
    "asked",
    [
        ("wal",),
        ("wal", "status"),
        ("wal", "push"),
        ("wal", "push", "a", "b"),
        ("wal", "fetch", "a"),
        ("--debug", "wal", "push", "a"),
        ("wal", "push", "--help"),
        ("metrics", "wal", "push"),
        ("wal", "push", "a", "--target"),
        ("wal", "push", "a"),
        ("wal", "push", "a", "--repository", "/r"),
        ("-c", "/nowhere/config.yaml", "wal", "push", "a", "--target", "main"),
    ],
)
def test_command_leaves_the_unusual_to_the_ordinary_one(asked: Sequence[str], tmp_path: Path) -> None:
    """Which explains, or reads the configuration as a whole."""
    assert answer(asked, {"HOME": str(tmp_path), "TOBAN_CONFIG": str(tmp_path / "none.yaml")}) is None


@pytest.mark.integration
def test_command_is_answered_before_the_ordinary_one_is_imported(tmp_path: Path) -> None:
    """Nothing heavy is imported, whoever starts it and for a push as for a fetch."""
    a_place(tmp_path)
    source = a_file(tmp_path / "pg_wal")
    telling = (
        "import sys; sys.argv[0] = 'toban'; from daemon.cli import main\ntry: main()\nfinally: print(*sys.modules)"
    )
    for asked in (words("push", source, root=tmp_path), words("fetch", FIRST, tmp_path / "out", root=tmp_path)):
        done = subprocess.run(
            [sys.executable, "-S", "-c", telling, *asked],
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        assert sorted(set(HEAVY) & set(done.stdout.split())) == []


@pytest.mark.integration
def test_command_is_reached_from_the_command_line(tmp_path: Path) -> None:
    """And what it does not answer still is."""
    place = a_place(tmp_path)
    ended = toban(*words("push", a_file(tmp_path / "pg_wal"), root=tmp_path))
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert len(names_in(place)) == 1
    assert toban("--version", "wal").status == 0
    mistaken = toban("wal", "fetch", FIRST, "--bogus")
    assert (mistaken.status, mistaken.out) == (126, "")
    assert "No such option: --bogus" in mistaken.err
    assert toban("wal", "push", "--bogus").status == 2


def test_settings_of_the_server_survive_every_name(tmp_path: Path) -> None:
    """Quotes, spaces, Japanese, and the % that PostgreSQL reads before the shell does."""
    odd = tmp_path / 'it\'s 100% "東京"'
    fetching = restore_command(odd, "main", identity=odd / "key", partial=True, accept_gap=True)
    assert fetching.endswith(" %f %p")
    told = fetching.removesuffix(" %f %p").replace("%%", "%")
    done = subprocess.run(["/bin/sh", "-c", f"printf '%s\\n' {told}"], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        *(sys.executable, "-m", "daemon", "wal", "fetch", "--repository", str(odd), "--target", "main"),
        *("--identity", str(odd / "key"), "--partial", "--accept-gap"),
    ]
    assert archive_command("/r", "main").endswith("'wal' 'push' '--repository' '/r' '--target' 'main' %p")


# --- the digest of the configuration ---------------------------------------------------------------------------------


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A configuration whose state lies where it says."""
    path = tmp_path / "config.yaml"
    path.write_text(f"state: 'sqlite://{tmp_path}/state.db'  # ours\n")
    return path


def digested(configuration: Path, *, usual: str | None = "main") -> Known:
    """What whoever loaded the configuration leaves behind."""
    root = configuration.parent
    told = Known(repository=str(root / "repository"), usual=usual, manners={"main": PLAIN, "other": GZIP})
    keep(root / "state.db", told, configuration=configuration, files=[configuration])
    return told


def test_digest_tells_repository_targets_and_manners(configuration: Path) -> None:
    """What a push needs of the configuration."""
    digested(configuration)
    found = known(str(configuration), {})
    assert found is not None
    assert (found.repository, found.usual) == (str(configuration.parent / "repository"), "main")
    assert {name: one.compress for name, one in found.manners.items()} == {"main": "none", "other": "gzip:1"}
    assert (configuration.parent / "state.wal.json").stat().st_mode & 0o777 == 0o600


def test_digest_holds_until_a_file_of_the_configuration_changes(configuration: Path) -> None:
    """The file, one beside it, one more: then the whole is to be read again."""
    digested(configuration)
    folder = configuration.parent / "config.d"
    folder.mkdir()
    assert known(str(configuration), {}) is None
    digested(configuration)
    assert known(str(configuration), {}) is not None
    configuration.write_text(configuration.read_text() + "node: other\n")
    assert known(str(configuration), {}) is None
    digested(configuration)
    (folder / "more.yaml").touch()
    assert known(str(configuration), {}) is None


def test_digest_of_another_configuration_or_version_is_none(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two configurations may share a state."""
    digested(configuration)
    other = configuration.with_name("other.yaml")
    other.write_text(configuration.read_text())
    assert known(str(other), {}) is None
    monkeypatch.setattr(digest, "FORMAT", 2)
    assert known(str(configuration), {}) is None


def test_digest_is_found_where_the_state_is_when_no_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systemd's folder, the user's, the service's; the environment names the configuration."""
    monkeypatch.setattr(digest, "SERVICE_STATE", str(tmp_path / "service" / "state"))
    main = tmp_path / "config.yaml"
    main.write_text("node: here\n")
    told = Known(repository="/r", usual=None, manners={})
    for folder, environment in (
        ("systemd", {"STATE_DIRECTORY": f"{tmp_path}/systemd:/other"}),
        ("xdg/toban", {"XDG_STATE_HOME": f"{tmp_path}/xdg"}),
        ("home/.local/state/toban", {"HOME": f"{tmp_path}/home"}),
        ("service", {"HOME": f"{tmp_path}/nobody"}),
    ):
        state = tmp_path / folder / "state.db"
        state.parent.mkdir(parents=True)
        keep(state, told, configuration=main, files=[main])
        assert known(None, {"TOBAN_CONFIG": str(main), **environment}) is not None
        state.with_name("state.wal.json").unlink()
        assert known(None, {"TOBAN_CONFIG": str(main), **environment}) is None


def test_command_takes_the_target_from_the_digest(configuration: Path, tmp_path: Path) -> None:
    """The usual one where none is named, another where it is; and one that nobody knows is not guessed."""
    a_place(tmp_path)
    digested(configuration)
    source = a_file(tmp_path / "pg_wal")
    config = ["-c", str(configuration)]
    assert answer([*config, "wal", "push", str(source)], {}) == 0
    assert answer([f"--config={configuration}", "wal", "push", str(source), "--target", "other"], {}) == 0
    assert names_in(tmp_path / "repository" / "main" / "wal") == [FIRST]
    assert names_in(tmp_path / "repository" / "other" / "wal") == [f"{FIRST}.gz"]
    assert answer([*config, "wal", "push", str(source), "--target", "unknown"], {}) is None
    digested(configuration, usual=None)
    assert answer([*config, "wal", "push", str(source)], {}) is None
    assert answer([*config, "wal", "push", str(source), "--target=main", "--compress=lz4"], {}) == 0


def test_digest_that_is_damaged_is_none(configuration: Path) -> None:
    """Whoever finds it spoilt loads the configuration as a whole, and leaves a good one; so it is with a manner."""
    digested(configuration)
    configuration.with_name("state.wal.json").write_text("{")
    assert known(str(configuration), {}) is None
    digested(configuration)
    assert known(str(configuration), {}) is not None
    place = a_place(configuration.parent, 1)
    (place / "manner.json").write_text("{")
    keep_manner_of(place)
    assert known_manner(str(place)).compress == "gzip:1"
