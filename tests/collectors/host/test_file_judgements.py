"""Claims about what is held against a file: a secret left in it, and to whom it is open."""

import pytest

from collectors.host.files.left_secrets import Left, left_secrets
from collectors.host.files.permissions import account_name, wrong_permissions
from collectors.host.files.walking import File
from toban.findings import Severity

SECRETS_LEFT = {
    "password = hunter2secret": "password",
    "  db_password: 'hunter2secret'": "password",
    '"api_key": "hunter2secret"': "password",
    "primary_conninfo = 'host=db1 user=repl password=hunter2secret'": "password",
    "export PGPASSWORD=hunter2secret": "",
    "requirepass hunter2secret": "password",
    "url: postgresql://app:hunter2secret@db1/shop": "url",
    "# postgresql://app:hunter2secret@db1/shop": "url",
    "aws_id = AKIAABCDEFGHIJKLMNOP": "cloud_key",
    "-----BEGIN RSA PRIVATE KEY-----": "private_key",
    "-----BEGIN PRIVATE KEY-----": "private_key",
    "password: ${PGPASS}": "",
    "password: !credential smtp": "",
    "password = %(secret)s": "",
    "password: {{ vault_password }}": "",
    "password: ********": "",
    "password_encryption = scram-sha-256": "",
    "password: null": "",
    "password_file = /etc/secret": "",
    "#password = hunter2secret": "",
    "url: postgresql://app:${PGPASS}@db1/shop": "",
    "url: https://db1:8443/path@x": "",
    "-----BEGIN CERTIFICATE-----": "",
    "the password is asked for": "",
}


@pytest.mark.parametrize(("line", "kind"), SECRETS_LEFT.items())
def test_secret_is_known_by_how_it_is_written(line: str, kind: str) -> None:
    """A value is one; a reference, an example and a word that only sounds so are not."""
    assert list(left_secrets(f"first\n{line}\n".encode())) == ([Left(2, kind)] if kind else [])


def test_secret_in_no_text_is_none() -> None:
    """A program holds everything that looks like anything."""
    assert list(left_secrets(b"password = hunter2secret\n\0")) == []


def a_met_file(name: str, mode: int, *, owner: int = 1000, is_folder: bool = False) -> File:
    """A file as the walk met it."""
    return File(path=f"/srv/{name}", size_bytes=1, mode=mode, owner=owner, is_folder=is_folder)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (a_met_file("app.conf", 0o644), None),
        (a_met_file("app.conf", 0o666), (Severity.CRITICAL, "file_writable_by_all")),
        (a_met_file("tmp", 0o1777, is_folder=True), None),
        (a_met_file("drop", 0o777, is_folder=True), (Severity.CRITICAL, "file_writable_by_all")),
        (a_met_file("server.key", 0o600), None),
        (a_met_file("server.key", 0o640), (Severity.WARNING, "file_mode")),
        (a_met_file("server.key", 0o640, owner=0), None),
        (a_met_file("server.key", 0o644, owner=0), (Severity.CRITICAL, "file_mode")),
        (a_met_file("id_ed25519", 0o640, owner=0), (Severity.WARNING, "file_mode")),
        (a_met_file(".pgpass", 0o604), (Severity.CRITICAL, "file_mode")),
    ],
)
def test_permissions_that_are_wrong_everywhere(file: File, expected: tuple[Severity, str] | None) -> None:
    """Writable by all; a key that others may read. A key of root's may be for a group, as PostgreSQL takes it."""
    found = wrong_permissions(file, mode=None, owner=None)
    assert (found and (found.severity, found.what)) == expected


def test_permissions_are_held_against_what_was_said() -> None:
    """The mode is the most that is allowed; a folder has others. The owner may be a name or a number."""
    assert wrong_permissions(a_met_file("a", 0o600), mode=0o640, owner="1000") is None
    assert wrong_permissions(a_met_file("a", 0o755, is_folder=True), mode=0o640, owner=None) is None
    loose = wrong_permissions(a_met_file("a", 0o660), mode=0o640, owner=None)
    assert loose is not None
    assert (loose.what, dict(loose.values)) == ("file_mode", {"present": "0660", "wanted": "0640"})
    foreign = wrong_permissions(a_met_file("a", 0o600, owner=0), mode=None, owner="postgres")
    assert foreign is not None
    assert (foreign.what, dict(foreign.values)) == ("file_owner", {"present": "root", "wanted": "postgres"})
    assert wrong_permissions(a_met_file("a", 0o600, owner=0), mode=None, owner="root") is None
    assert account_name(4_000_000_000) == "4000000000"
