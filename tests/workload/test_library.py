from pathlib import Path

import msgspec
import pytest

from loadgen.client.client_type import ClientType
from loadgen.client.dialect import Dialect
from loadgen.errors import ProfileError
from loadgen.workload import library
from loadgen.workload.campaign import Campaign
from loadgen.workload.profile import MessageProfile

LIGHT = """
title = "mine"
sent_per_day = 5
received_per_day = 20
read_per_day = 20
deleted_per_day = 10
"""


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("name", "sent", "received", "read", "deleted"),
    [
        ("light", 5, 20, 20, 10),
        ("medium", 10, 40, 40, 20),
        ("heavy", 20, 80, 80, 40),
        ("very-heavy", 30, 120, 120, 60),
    ],
)
def test_message_profiles_are_the_white_papers(name, sent, received, read, deleted):
    profile = library.read("message", name, MessageProfile)
    figures = (profile.sent_per_day, profile.received_per_day, profile.read_per_day, profile.deleted_per_day)
    assert (profile.name, profile.message_size, figures) == (name, 50_000, (sent, received, read, deleted))


@pytest.mark.parametrize(
    ("name", "connections", "startup", "words", "notification", "names"),
    [
        ("outlook2007-online-anywhere", (1, 1, 1), (1, 0), (12, 6206, 1000), "asynchronous", 4),
        ("outlook2003-online-anywhere", (1, 1, 1), (1, 0), (11, 6555, 0), "poll", 4),
        ("outlook2007-cached-anywhere", (2, 1, 1), (1, 1), (12, 6206, 1000), "asynchronous", 1),
        ("outlook2003-cached-anywhere", (1, 1, 1), (1, 0), (11, 6555, 0), "poll", 1),
        ("loadgen-2007-online", (1, 0, 0), (0, 0), (12, 6206, 1000), "asynchronous", 0),
        ("loadgen-2003-online", (1, 0, 0), (0, 0), (11, 6555, 0), "poll", 0),
        ("loadgen-2003-cached", (1, 0, 0), (0, 0), (11, 6555, 0), "poll", 0),
    ],
)
def test_client_types_open_what_the_design_says(name, connections, startup, words, notification, names):
    client = library.read("client", name, ClientType)
    assert msgspec.structs.astuple(client.connections) == connections
    assert msgspec.structs.astuple(client.startup) == startup
    assert client.version_words == words
    assert client.notification == notification
    assert client.directory.names_resolved_per_message == names
    assert not client.transfer.compress_sent
    assert (client.cached is not None) == name.endswith("cached-anywhere")


def test_only_the_newer_outlook_has_the_server_file_what_it_sent():
    for name, has_server_file in (("outlook2007", True), ("outlook2003", False)):
        cached = library.read("client", f"{name}-cached-anywhere", ClientType).cached
        assert (cached.server_files_sent, cached.chained, cached.compare_copy) == (
            *[has_server_file] * 2,
            True,
        )
        assert cached.synchronisation_delay_s == 30


def test_every_built_in_file_says_where_its_figures_are_from():
    for kind in ("client", "message", "campaign"):
        for name in library.built_in_names(kind):
            assert library.find(kind, name).read_text().startswith("# ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            LIGHT + "sent = 4",
            "sent: unknown key (did you mean sent_per_day?); allowed: name, title, sent_per_day, ",
        ),
        ("title = 'x'", "sent_per_day: missing"),
        (LIGHT + "message_size = 'big'", "message_size: expected a whole number, got text"),
        (LIGHT + "message_size = 5", "message_size: expected a whole number >= 1000"),
        (
            LIGHT + "think_before_read = 5",
            "think_before_read: expected a duration as text, such as '45s'",
        ),
        (LIGHT + "think_before_read = 'soon'", "think_before_read: 'soon' is not a duration such as"),
        (LIGHT.replace("= 10", "= 21"), "deleted_per_day must not exceed received_per_day, 20"),
        ("title = ", "not TOML: Invalid value"),
        ("extends = 5", "extends: expected a name or a path as text"),
        ("extends = 'hard'", "extends: 'hard' is no built-in message profile; known: heavy, light, medium"),
        ("extends = 'missing.toml'", "missing.toml: there is no such file"),
        ("extends = 'mine.toml'", "extends: goes round in a circle"),
    ],
)
def test_a_wrong_profile_is_one_line_with_file_and_key(tmp_path, text, problem):
    name = write(tmp_path, "mine.toml", text)
    with pytest.raises(ProfileError) as caught:
        library.read("message", name, MessageProfile)
    assert str(caught.value).startswith(f"{name}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "version = '12'",
            "version: expected four numbers of which the second is 0, such as 12.0.6206.1000",
        ),
        ("version = '12.0.40000.1'", "version '12.0.40000.1': each number must be below 32,768"),
        ("notification = 'udp'", "notification: 'udp' is not allowed; allowed: asynchronous, poll"),
        (
            "[connections]\ndirectory = 0",
            "directory.names_resolved_per_message needs connections.directory to be at least 1",
        ),
        (
            "[connections]\nmails = 1",
            "connections.mails: unknown key (did you mean mail?); allowed: mail, public_folder, directory",
        ),
        ("[connections]\nmail = 0", "connections.mail: expected a whole number >= 1"),
        (
            "[connections]\ndirectory = 0\n[directory]\nnames_resolved_per_message = 0",
            "directory.browses_per_day needs connections.directory to be at least 1",
        ),
        (
            "[connections]\npublic_folder = 0",
            "public_folder needs connections.public_folder to be at least 1",
        ),
        ("[public_folder]\nfree_busy = 'ask'", "free_busy: 'ask' is not allowed; allowed: publish, off"),
    ],
)
def test_a_wrong_client_type_says_what_is_allowed(tmp_path, text, problem):
    name = write(tmp_path, "mine.toml", "extends = 'outlook2007-online-anywhere'\n" + text)
    with pytest.raises(ProfileError) as caught:
        library.read("client", name, ClientType)
    assert problem in str(caught.value)


def test_a_wrong_path_of_a_dialect_says_what_one_is(tmp_path):
    name = write(tmp_path, "mine.toml", "extends = 'unknown'\npath = '/rpc?'\n")
    with pytest.raises(ProfileError) as caught:
        library.read("dialect", name, Dialect)
    assert str(caught.value) == (
        f"{name}: path: expected a path from / on without spaces and question marks, "
        "such as /rpc/rpcproxy.dll"
    )


def test_extends_merges_tables_and_replaces_the_rest(tmp_path):
    write(
        tmp_path, "base.toml", "extends = 'outlook2007-online-anywhere'\n[directory]\nbrowses_per_day = 9\n"
    )
    name = write(tmp_path, "mine.toml", "extends = 'base.toml'\ntitle = 'mine'\n[connections]\nmail = 2\n")
    client = library.read("client", name, ClientType)
    assert (client.name, client.title, client.version) == ("mine", "mine", "12.0.6206.1000")
    assert msgspec.structs.astuple(client.connections) == (2, 1, 1)
    assert msgspec.structs.astuple(client.directory) == (4, 9)


def test_a_path_counts_from_where_it_stands(tmp_path):
    write(tmp_path, "mine.toml", LIGHT)
    assert library.read("message", "./mine.toml", MessageProfile, near=tmp_path).title == "mine"
    with pytest.raises(ProfileError, match=r"elsewhere/mine\.toml: there is no such file"):
        library.find("message", "elsewhere/mine.toml", near=tmp_path)
    with pytest.raises(ProfileError, match=f"{tmp_path}: is no file"):
        library.find("message", f"{tmp_path}/")


def test_a_file_that_cannot_be_read_is_said_so(tmp_path, monkeypatch):
    name = write(tmp_path, "mine.toml", LIGHT)

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ProfileError, match=r"mine\.toml: Permission denied"):
        library.read("message", name, MessageProfile)


def test_only_durations_are_special():
    with pytest.raises(NotImplementedError):
        library.convert({"path": "x"}, Holder, "source")


class Holder(msgspec.Struct):
    path: Path


class Outer(msgspec.Struct):
    inner: Holder | None


def test_what_is_allowed_is_found_behind_an_optional_key():
    problem = "Object contains unknown field `pth` - at `$.inner`"
    assert library.explain(problem, Outer) == "inner.pth: unknown key (did you mean path?); allowed: path"


def test_a_file_that_is_not_text_is_said_so(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileError, match="not TOML"):
        library.read("message", str(tmp_path / "mine.toml"), MessageProfile)


def test_a_profile_as_a_table_reads_back():
    campaign = library.read("campaign", "quickstart", Campaign)
    table = library.to_table(campaign)
    assert "duration" not in table
    assert table["startup_hold"] == "6s"
    assert library.convert(table, Campaign, "again") == campaign


def test_profiles_are_found_inside_an_installed_package(tmp_path, monkeypatch):
    package = tmp_path / "loadgen"
    (package / "workload").mkdir(parents=True)
    monkeypatch.setattr(library, "__file__", str(package / "workload" / "library.py"))
    assert library.library_root() == tmp_path / "profiles"
    (package / "profiles").mkdir()
    assert library.library_root() == package / "profiles"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("lihgt", " (did you mean light?)"),
        ("heavy!", " (did you mean heavy or very-heavy?)"),
        ("HEAVY", " (did you mean heavy or very-heavy?)"),
        ("very-", " (did you mean very-heavy?)"),
        ("verry", " (did you mean very-heavy?)"),
        ("mondayy", " (did you mean monday.toml?)"),
        ("outlook", ""),
    ],
)
def test_near_misses_are_offered(name, near, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "monday.toml", LIGHT)
    with pytest.raises(ProfileError) as caught:
        library.find("message", name)
    assert str(caught.value) == (
        f"{name!r} is no built-in message profile{near}; known: heavy, light, medium, very-heavy; "
        "or give a path ending in .toml"
    )


def test_a_table_has_what_it_extends_and_is_of_no_type(tmp_path):
    (tmp_path / "mine.toml").write_text("extends = 'default'\ntitle = 'mine'\n[http]\nframing = 'chunked'\n")
    table = library.read_table("topology", str(tmp_path / "mine.toml"))
    assert (table["title"], table["http"]["framing"], table["http"]["port"]) == ("mine", "chunked", 18080)
