"""Every mistake has a fixture, and its exact message beside it: `<mistake>.yaml` and `<mistake>.expected`."""

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from daemon.configuration import Problems, load
from daemon.configuration.lending import UnreadableError
from daemon.configuration.sentences import Schema, known_keys
from daemon.configuration.tree import Configuration
from daemon.configuration.written import Path as Place

FIXTURES = Path(__file__).parent / "fixtures"
MISTAKES = sorted(path.stem for path in FIXTURES.glob("*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def schema_made_once() -> Iterator[None]:
    """It is the same for every mistake, and takes longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        schema = Configuration.model_json_schema()
        patch.setattr(Configuration, "model_json_schema", staticmethod(lambda: schema))
        yield


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_gets_its_exact_message(mistake: str) -> None:
    """Every problem of the file, each on one line, in the order of its lines; never what is secret."""
    file = FIXTURES / f"{mistake}.yaml"
    with pytest.raises(Problems) as refused:
        load(file, {})
    said = "\n".join(line.replace(f"{FIXTURES}/", "") for line in refused.value.lines)
    assert said == file.with_suffix(".expected").read_text().rstrip("\n")
    assert not [word for word in ("hunter2", "hun", "ter2") if word in said]
    assert refused.value.exit_status == 2


def test_mistakes_all_have_their_message() -> None:
    """A fixture without its message, or the reverse, tests nothing."""
    assert sorted(path.stem for path in FIXTURES.glob("*.expected")) == MISTAKES


def test_unknown_key_can_be_told_wherever_it_stands() -> None:
    """What is a list, may be null or is chosen by its kind on the way there hides none of the keys that there are."""
    schema = Configuration.model_json_schema()
    places = dict(sections(schema, schema, ()))
    assert {("backups", "jobs", 0), ("backups", "copies", 0, "keep"), ("targets", 0, "sqlite")} < places.keys()
    assert {place: known_keys(schema, place) for place in places} == places


def sections(schema: Schema, here: Schema, place: Place) -> Iterator[tuple[Place, list[str]]]:
    """Every place that knows its keys, with them."""
    if "$ref" in here:
        here = schema["$defs"][here["$ref"].rpartition("/")[2]]
    if here.get("additionalProperties") is False:
        yield place, list(here["properties"])
    below = {
        **here.get("properties", {}),
        **{kind: {"$ref": found} for kind, found in here.get("discriminator", {}).get("mapping", {}).items()},
    }
    for key, value in below.items():
        yield from sections(schema, value, (*place, key))
    for part, key in (("items", 0), ("additionalProperties", "name")):
        if isinstance(here.get(part), dict):
            yield from sections(schema, here[part], (*place, key))
    for option in here.get("anyOf", ()):
        yield from sections(schema, option, place)


def test_file_that_is_missing_gets_one_line(tmp_path: Path) -> None:
    """Without a line number, since there is none."""
    assert complaint(tmp_path / "none.yaml") == f"{tmp_path}/none.yaml: does not exist"


def test_file_that_is_a_directory_gets_one_line(tmp_path: Path) -> None:
    """Opened, but not read."""
    assert complaint(tmp_path) == f"{tmp_path}: is a directory"


def test_file_that_is_a_device_gets_one_line() -> None:
    """It would never end."""
    assert complaint(Path("/dev/zero")) == "/dev/zero: is no regular file"


def test_file_that_is_a_pipe_gets_one_line_at_once(tmp_path: Path) -> None:
    """To open a pipe without a writer would wait for ever; the reader runs apart so that this fails and does not."""
    os.mkfifo(tmp_path / "pipe")
    said: list[str] = []
    reader = Thread(target=lambda: said.append(complaint(tmp_path / "pipe")), daemon=True)
    reader.start()
    reader.join(timeout=60)
    assert said == [f"{tmp_path}/pipe: is no regular file"]


def test_file_that_is_huge_gets_one_line(tmp_path: Path) -> None:
    """A megabyte is enough for any configuration."""
    file = tmp_path / "config.yaml"
    file.write_bytes(b"#" * (1024 * 1024 + 1))
    assert complaint(file) == f"{file}: is larger than 1 MB"


def test_file_that_may_not_be_read_gets_one_line(tmp_path: Path) -> None:
    """The reader refuses, as it does to a daemon that is not root."""

    def refuse(path: Path) -> bytes:
        raise UnreadableError("may not be read by this user")

    with pytest.raises(Problems) as refused:
        load(tmp_path / "config.yaml", {}, read=refuse)
    assert refused.value.lines == (f"{tmp_path}/config.yaml: may not be read by this user",)


def test_mistake_in_a_fragment_names_the_fragment(tmp_path: Path) -> None:
    """Each problem has the file it stands in, and files come in order."""
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.yaml").write_text("language: fr\ntargets:\n  - {name: a, kind: sqlite, path: /a}\n")
    (tmp_path / "config.d" / "more.yaml").write_text("nod: x\ntargets:\n  - {name: a, kind: sqlite, path: b}\n")
    assert complaint(tmp_path / "config.yaml").replace(f"{tmp_path}/", "").splitlines() == [
        'config.d/more.yaml:1: nod: unknown key; did you mean "node"?',
        "config.d/more.yaml:3: targets[1].name: 'a' is taken; the first of that name is in config.yaml:3",
        "config.d/more.yaml:3: targets[1].path: 'b' is no absolute path; begin it with /",
        "config.yaml:1: language: expected en or ja, found 'fr'",
    ]


def test_mistake_that_breaks_one_file_hides_no_broken_other(tmp_path: Path) -> None:
    """Both files that are no YAML are named; what the good ones lack without them is not."""
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.yaml").write_text("a: b: c\n")
    (tmp_path / "config.d" / "x.yaml").write_text("")
    (tmp_path / "config.d" / "y.yaml").write_text("nod: x\n")
    assert [
        line.partition(":")[0] for line in complaint(tmp_path / "config.yaml").replace(f"{tmp_path}/", "").splitlines()
    ] == [
        "config.d/x.yaml",
        "config.yaml",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timezone: ${SHY}", "timezone: ${SHY} is no time zone; write Asia/Tokyo"),
        ("language: ${SHY}", "language: expected en or ja, found what ${SHY} gives"),
        ("language: !file shy", "language: expected en or ja, found what !file shy gives"),
        (
            "http: {listen: '${SHY}'}",
            "http.listen: ${SHY} is no address to listen on; write 127.0.0.1:8432, [::1]:8432, or null for none",
        ),
    ],
)
def test_mistake_in_a_lent_value_names_the_lender_only(tmp_path: Path, text: str, said: str) -> None:
    """What came from elsewhere may be a secret that was put on the wrong key."""
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "shy").write_text("hunter2")
    with pytest.raises(Problems) as refused:
        load(tmp_path / "config.yaml", {"SHY": "hunter2"})
    assert refused.value.lines == (f"{tmp_path}/config.yaml:1: {said}",)


def test_mistake_with_control_characters_stays_on_one_harmless_line(tmp_path: Path) -> None:
    """Nothing in a file may steer the terminal of who checks it."""
    (tmp_path / "config.yaml").write_text('"a\\e[31m\\nb": 1\nlanguage: "\\e]0;x\\a"\nstate: !file "\\e[2J"\n')
    said = complaint(tmp_path / "config.yaml")
    assert "\x1b" not in said
    assert len(said.splitlines()) == 3


def complaint(path: Path) -> str:
    """What is said of a file that cannot be used."""
    with pytest.raises(Problems) as refused:
        load(path, {})
    return refused.value.line
