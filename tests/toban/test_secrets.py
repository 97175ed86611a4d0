"""Secrets that cannot be printed by accident."""

import copy
import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from toban.config import Model
from toban.secrets import MASK, Dsn, Secret, blot

# Raw, as somebody may type them; each long enough that none of its pieces occurs in a mask by chance.
AWKWARD = (
    "s3cr3t",
    "p@ss/w0rd",
    "p/a?s#s",
    "two words",
    "パスワード秘密",
    "\uff50\uff20\uff53\uff53",
    "br[ack]et",
    "co:lon:s",
    "100%sure",
    "am&per=sand",
    "qu'ote\"d",
)


class Keys(Model):
    """A model that holds both."""

    token: Secret | None = None
    dsn: Dsn | None = None


def pieces(password: str) -> list[str]:
    """What must not be seen: the whole, its encoded form, and every piece of three letters."""
    return [password, quote(password, safe=""), *(password[i : i + 3] for i in range(len(password) - 2))]


@pytest.mark.parametrize("secret", [Secret("hunter2"), Dsn("postgresql://u:hunter2@h/d"), Dsn("password=hunter2")])
def test_secret_prints_masked_in_every_way(secret: Secret) -> None:
    """str, repr, format, %, f-strings, inside containers, copies."""
    seen = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>40}",
        "%s %r" % (secret, secret),  # noqa: UP031 - the old way must mask too
        str([secret]),
        str({"a": secret}),
    ]
    assert "hunter2" not in " ".join([*seen, repr(copy.copy(secret)), repr(copy.deepcopy(secret))])
    assert MASK in str(secret)
    assert "hunter2" in secret.reveal()


def test_secret_is_equal_by_its_value_only() -> None:
    """A reload sees that a token has not changed."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_secret_is_no_json_by_accident() -> None:
    """The serialiser refuses rather than reveals."""
    with pytest.raises(TypeError):
        json.dumps({"token": Secret("hunter2")})


@pytest.mark.parametrize("password", AWKWARD)
def test_dsn_with_a_raw_password_shows_no_piece_of_it(password: str) -> None:
    """Even where a URL parser cuts in the middle of it."""
    dsn = Dsn(f"postgresql://toban:{password}@127.0.0.1:5432/postgres")
    shown = f"{dsn} {dsn!r} {dsn.masked} {dsn.fault}"
    assert not [piece for piece in pieces(password) if piece in shown]
    assert shown.startswith("Dsn('postgresql://")


@pytest.mark.parametrize("password", AWKWARD)
def test_dsn_with_an_encoded_password_is_fine_and_masked(password: str) -> None:
    """Encoded, every password can be written; everything else stays readable."""
    dsn = Dsn(f"postgresql://toban:{quote(password, safe='')}@127.0.0.1:5432/postgres?sslmode=require")
    assert not dsn.fault
    assert dsn.masked == f"postgresql://toban:{MASK}@127.0.0.1:5432/postgres?sslmode=require"
    assert password in dsn.secrets


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_dsn_takes_any_password_encoded(password: str) -> None:
    """No text is impossible as a password, and it never comes back in the mask."""
    dsn = Dsn(f"postgresql://u:{quote(password, safe='')}@h/d")
    assert not dsn.fault
    assert dsn.masked == f"postgresql://u:{MASK}@h/d"


@settings(deadline=None)
@given(st.text())
def test_dsn_never_fails_to_print(text: str) -> None:
    """Whatever it holds, masking and judging it raise nothing."""
    for dsn in (Dsn(text), Dsn(f"postgresql://u:{text}@h/d")):
        assert str(dsn)
        assert isinstance(dsn.fault, str)
        assert isinstance(dsn.secrets, tuple)


def test_dsn_masks_passwords_among_its_parameters() -> None:
    """The server's own library takes them there too, and a client key's password."""
    dsn = Dsn("postgresql:///d?user=u&password=hunter%202&sslpassword=hunter3&host=/run/postgresql")
    assert dsn.masked == f"postgresql:///d?user=u&password={MASK}&sslpassword={MASK}&host=/run/postgresql"
    assert set(dsn.secrets) == {"hunter 2", "hunter%202", "hunter3"}


def test_dsn_without_a_password_is_shown_as_it_is() -> None:
    """Nothing is masked where nothing is secret."""
    for text in (
        "postgresql://toban@127.0.0.1:5432/postgres",
        "postgresql:///d?host=/run/postgresql",
        "postgresql://h/d",
    ):
        assert Dsn(text).masked == text
        assert Dsn(text).secrets == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no connection string"),
        ("host=h password=hunter2", "no connection string"),
        ("postgresql://u:hunter2@h/d\n", "line break"),
        ("postgresql://u:hun@ter2@h/d", "%40"),
        ("postgresql://u:hun/ter2@h/d", "%2F"),
        ("postgresql://u:hun#ter2@h/d", "%23"),
        ("postgresql://u@h/d?password=hun#ter2", "%23"),
        ("postgresql://u:hunter2@h/d?sslmode", "taken apart"),
        ("postgresql://u:hunter2@h:port/d", "host or port"),
        ("postgresql://u:hunter2@h:0/d", "host or port"),
        ("postgresql://u:hunter2@h:65536/d", "host or port"),
        ("postgresql://u:hunter2@::1/d", "host or port"),
        ("postgresql://u:hunter2@h1:5432,h2:x/d", "host or port"),
        ("postgresql://u:hunter2@h1:5432,h2:5433,h3/d", ""),
        ("postgresql://u:hunter2@[::1]:5433/d", ""),
    ],
)
def test_dsn_says_what_is_wrong_without_quoting_itself(text: str, fault: str) -> None:
    """Each mistake in words; a list of hosts is none."""
    found = Dsn(text).fault
    assert fault in found
    assert bool(found) == bool(fault)
    assert "hun" not in found


def test_dsn_takes_another_database_with_the_same_login() -> None:
    """Odd names are encoded, and a database among the parameters gives way."""
    dsn = Dsn("postgresql://u:p%40ss@h:1/d?dbname=x&sslmode=require").replace_database("売上/2026")
    assert dsn.reveal() == f"postgresql://u:p%40ss@h:1/{quote('売上/2026', safe='')}?sslmode=require"


@pytest.mark.parametrize(
    "message",
    [
        "cannot reach postgresql://u:hunter2@h/d: refused",
        "cannot reach postgresql://u:hun@ter/hunter2@h/d",
        "bad line: host=h password=hunter2 dbname=d",
        "bad line: password = 'hunter2 hunter2' dbname=d",
        r"bad line: password='it\'s hunter2' dbname=d",
        "started with PGPASSWORD=hunter2 pg_dump",
        "at ALTER ROLE u PASSWORD 'a''b hunter2' LOGIN",
        "at CREATE USER u IDENTIFIED BY 'hunter2'",
        "server said hunter2 and hunter2%20",
    ],
)
def test_blot_takes_secrets_out_of_foreign_messages(message: str) -> None:
    """The ones that are known, and whatever looks like one."""
    assert "hunter2" not in blot(message, "hunter2", "")
    if "server said" not in message:
        assert "hunter2" not in blot(message)


def test_blot_takes_the_longest_first() -> None:
    """A secret that contains another leaves no rest."""
    assert blot("abcdef", "abc", "abcdef") == MASK


def test_secret_in_a_model_is_read_from_text_and_shown_masked() -> None:
    """In both modes of dumping, in JSON, and in repr."""
    keys = Keys.model_validate({"token": "hunter2", "dsn": "postgresql://u:hunter2@h/d"})
    assert keys.token == Secret("hunter2")
    assert keys.dsn is not None
    assert keys.dsn.reveal() == "postgresql://u:hunter2@h/d"
    assert keys.model_dump(mode="json") == {"token": MASK, "dsn": f"postgresql://u:{MASK}@h/d"}
    assert "hunter2" not in f"{keys} {keys!r} {keys.model_dump()} {keys.model_dump_json()}"
    assert Keys(token=keys.token, dsn=keys.dsn) == keys


@pytest.mark.parametrize(("value", "why"), [(5551234, "must be text"), ("", "is empty"), (["hunter2"], "must be text")])
def test_secret_in_a_model_is_refused_without_being_quoted(value: object, why: str) -> None:
    """Neither the message nor the exception's text has it."""
    with pytest.raises(ValidationError) as refused:
        Keys.model_validate({"token": value})
    assert why in refused.value.errors()[0]["msg"]
    assert "hunter2" not in str(refused.value)
    assert "5551234" not in str(refused.value)


def test_secret_is_described_as_a_password_to_editors() -> None:
    """They may hide it while it is typed."""
    assert TypeAdapter(Secret).json_schema() == {"type": "string", "format": "password"}


@pytest.mark.parametrize(
    ("dsn", "local"),
    [
        ("postgresql://toban@127.0.0.1:5432/postgres", True),
        ("postgresql://toban@localhost/postgres", True),
        ("postgresql://toban@[::1]:5432/postgres", True),
        ("postgresql:///postgres?host=/run/postgresql", True),
        ("postgresql://%2Frun%2Fpostgresql/postgres", True),
        ("postgresql://toban@/postgres", True),
        ("mysql://toban@db2/?socket=/run/mysqld/mysqld.sock", True),
        ("postgresql://toban@db2.example.org/postgres", False),
        ("postgresql://toban@127.0.0.1,db2/postgres", False),
        ("postgresql://toban@localhost/postgres?host=db2", False),
        ("postgresql://toban@192.0.2.1:5432/postgres", False),
    ],
)
def test_dsn_knows_whether_it_leads_to_this_machine(dsn: str, *, local: bool) -> None:
    """Over a socket or loopback; a name that is another machine's is not tried."""
    assert Dsn(dsn).local is local
