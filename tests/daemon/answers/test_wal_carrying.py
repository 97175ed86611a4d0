"""`toban wal push|fetch` where the quick way in has no answer: which target and place is meant, or why nobody knows."""

from pathlib import Path

import pytest

from tests.daemon.commanding import Ended, toban

PUSH = ("wal", "push", "/nowhere/000000010000000000000001")
FETCH = ("wal", "fetch", "000000010000000000000001", "/nowhere/x")


def configured(folder: Path, *targets: str) -> Path:
    """A configuration that keeps the WAL of these; without any it has no repository either."""
    dsn = "postgresql://toban@127.0.0.1:1/postgres"
    listed = ", ".join(f'{{name: {name}, kind: postgresql, dsn: "{dsn}"}}' for name in targets)
    jobs = ", ".join(f"{{name: wal-{name}, target: {name}, method: wal, mode: archive}}" for name in targets)
    backups = f"backups: {{repository: {folder}/repository, jobs: [{jobs}]}}" if targets else ""
    path = folder / "config.yaml"
    path.write_text(f"state: sqlite://{folder}/state.db\ntargets: [{listed}]\n{backups}\n")
    return path


def ended(folder: Path, words: tuple[str, ...], *targets: str) -> Ended:
    """The command."""
    return toban("-c", configured(folder, *targets), *words)


@pytest.mark.parametrize(
    ("words", "targets", "line"),
    [
        (PUSH, ("a", "b"), "toban: --target: is missing: whose WAL is it? (there is: a, b)\n"),
        ((*PUSH, "--target", "c"), ("a",), "toban: --target: no WAL is kept of c (there is: a)\n"),
        (
            PUSH,
            (),
            "toban: backups.repository: is not configured (name it there, or say --repository DIR)\n",
        ),
    ],
)
def test_what_is_not_known_is_said(tmp_path: Path, words: tuple[str, ...], targets: tuple[str, ...], line: str) -> None:
    """A push ends with 2, which PostgreSQL counts as a failure; a fetch with 126, at which it stops."""
    pushed = ended(tmp_path, words, *targets)
    assert (pushed.status, pushed.err) == (2, line)
    fetched = ended(tmp_path, (*FETCH, *words[len(PUSH) :]), *targets)
    assert (fetched.status, fetched.err) == (126, line)


def test_a_repository_alone_wants_the_target(tmp_path: Path) -> None:
    """And names those that there are."""
    for folder in ("main", ".toban"):  # ours, in which is noted what was read of the WAL
        (tmp_path / folder / "wal").mkdir(parents=True)
    pushed = toban(*PUSH, "--repository", tmp_path)
    assert (pushed.status, pushed.err) == (2, "toban: --target: is missing: whose WAL is it? (there is: main)\n")
    nothing = toban(*PUSH, "--repository", tmp_path / "main")
    assert nothing.err == "toban: --target: is missing: whose WAL is it? (docs/wal.md says how)\n"


def test_a_repository_and_a_target_are_enough(tmp_path: Path) -> None:
    """Also past the quick way in, as with an option that it does not know: what is not there is 1."""
    (tmp_path / "main" / "wal").mkdir(parents=True)
    words = ("--repository", tmp_path, "--target", "main", "--accept-gap", "--partial")
    assert toban("--debug", *FETCH, *words).status == 1
    assert toban(*FETCH, *words).status == 1


def test_a_broken_configuration_is_one_line(tmp_path: Path) -> None:
    """For PostgreSQL's log; never 1, which would be the end of the WAL."""
    path = tmp_path / "config.yaml"
    path.write_text("targets: 7\nstate: 8\n")
    fetched = toban("-c", path, *FETCH)
    assert (fetched.status, fetched.err.count("\n")) == (126, 1)
    assert fetched.err.startswith(f"toban: configuration: {path}:1: targets: ")


@pytest.mark.parametrize(
    "faulty", ["daemon.cli.app.main", "backup.wal.command.answer", "daemon.answers.wal_carrying._where"]
)
@pytest.mark.parametrize("fault", [ImportError("half an installation"), KeyError("targets"), MemoryError()])
def test_a_fault_of_our_own_never_looks_like_the_end_of_the_wal(
    faulty: str, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while the package is being replaced: with 1, which Python ends with by itself, PostgreSQL is promoted."""

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(faulty, fail)
    fetched = toban(*FETCH)
    assert fetched.status == 126
    assert f"internal fault: {type(fault).__name__}" in fetched.err
