"""The defaults that come from the machine, and which file it is."""

import errno
from pathlib import Path

import pytest

from daemon.configuration.files import chosen, fragments, read_bounded, why_unreadable
from daemon.configuration.lending import UnreadableError
from daemon.configuration.surroundings import defaults, state_path, state_to_read, system_zone


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"STATE_DIRECTORY": "/var/lib/toban"}, "/var/lib/toban/state.db"),
        ({"STATE_DIRECTORY": "/var/lib/toban:/var/lib/other", "HOME": "/root"}, "/var/lib/toban/state.db"),
        ({"STATE_DIRECTORY": "relative", "HOME": "/people/me"}, "/people/me/.local/state/toban/state.db"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/people/me"}, "/x/toban/state.db"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/people/me"}, "/people/me/.local/state/toban/state.db"),
        ({}, "/.local/state/toban/state.db"),
    ],
)
def test_state_has_its_place(environment: dict[str, str], path: str) -> None:
    """Under systemd its own, else the user's; always absolute."""
    assert state_path(environment) == Path(path)
    assert defaults(environment, host_name="", zone="UTC") == {
        "node": "localhost",
        "timezone": "UTC",
        "state": f"sqlite://{path}",
    }


def test_zone_is_what_the_machine_is_set_to(tmp_path: Path) -> None:
    """$TZ, else the link, else Debian's file, else UTC; what is no zone counts for nothing."""
    link, named = tmp_path / "localtime", tmp_path / "timezone"
    assert system_zone({}, link, named) == "UTC"
    link.symlink_to("../usr/share/zoneinfo/Asia/Tokyo")
    named.write_text("Europe/Paris\n")
    assert system_zone({}, link, named) == "Asia/Tokyo"
    assert system_zone({"TZ": ":Europe/Berlin"}, link, named) == "Europe/Berlin"
    assert system_zone({"TZ": "JST-9"}, link, named) == "Asia/Tokyo"
    link.unlink()
    link.write_bytes(b"TZif2")  # as a container is given it
    assert system_zone({}, link, named) == "Europe/Paris"
    link.unlink()
    link.symlink_to("/somewhere/else")
    named.write_text("nowhere\n")
    assert system_zone({}, link, named) == "UTC"


def test_file_is_the_one_asked_for_or_named_or_usual(tmp_path: Path) -> None:
    """In this order; where there is none, the first usual one is named in the complaint."""
    usual = (tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert chosen(Path("c.yaml"), {"TOBAN_CONFIG": "d.yaml"}, usual) == Path("c.yaml")
    assert chosen(None, {"TOBAN_CONFIG": "d.yaml"}, usual) == Path("d.yaml")
    assert chosen(None, {"TOBAN_CONFIG": ""}, usual) == usual[0]
    usual[1].write_text("")
    assert chosen(None, {}, usual) == usual[1]


def test_fragments_are_absent_without_their_folder(tmp_path: Path) -> None:
    """Also when something else has its name."""
    assert fragments(tmp_path / "config.yaml") == ()
    (tmp_path / "config.d").write_text("")
    assert fragments(tmp_path / "config.yaml") == ()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PermissionError(errno.EACCES, ""), "may not be read by this user"),
        (FileNotFoundError(), "does not exist"),
        (NotADirectoryError(), "does not exist"),
        (OSError(errno.EIO, ""), "cannot be read: Input/output error"),
        (ValueError("embedded null byte"), "is no possible file name"),
    ],
)
def test_refusals_of_the_system_are_put_into_words(error: Exception, why: str) -> None:
    """As the end of a sentence that begins with the file."""
    assert why_unreadable(error) == why


def test_read_refuses_an_impossible_name() -> None:
    """A path out of a configuration may hold anything."""
    with pytest.raises(UnreadableError, match="no possible file name"):
        read_bounded(Path("a\0b"))


def test_state_to_read_is_the_written_one_or_whichever_there_is(tmp_path: Path) -> None:
    """A running daemon's first: of the shell's own place and the service's; where there is neither, one's own."""
    environment = {"XDG_STATE_HOME": str(tmp_path / "own")}
    own, service, written = state_path(environment), tmp_path / "service/state.db", tmp_path / "written.db"
    for folder in (own.parent, service.parent):
        folder.mkdir(parents=True)
    assert state_to_read(own, environment, service=service) == own
    service.write_text("")
    assert state_to_read(own, environment, service=service) == service
    assert state_to_read(written, environment, service=service) == written
    own.write_text("")
    assert state_to_read(own, environment, service=service) == own
    service.with_suffix(".sock").write_text("")
    assert state_to_read(own, environment, service=service) == service


def test_state_to_read_passes_over_what_is_not_ours_to_see(tmp_path: Path) -> None:
    """The service's folder is closed to everybody else."""
    own = state_path({"XDG_STATE_HOME": str(tmp_path)})
    closed = Path("/", "x" * 300, "state.db")  # refused with an error, as a closed folder is to those who are not root
    assert state_to_read(own, {"XDG_STATE_HOME": str(tmp_path)}, service=closed) == own
