import json

import pytest
from click.testing import CliRunner

from loadgen.cli.main import main
from loadgen.cli.profiles import profiles


def run(*args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ("profiles", *args))
    return result.exit_code, result.stdout, result.stderr


def test_list_shows_every_kind_with_titles():
    code, out, _ = run("list")
    assert code == 0
    kinds = [line for line in out.splitlines() if not line.startswith(" ")]
    assert kinds == ["campaign", "client", "dialect", "limits", "message", "topology"]
    shown = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith(" "))
    assert shown["day-in-ten-minutes"].startswith("300 users")
    assert shown["quickstart"] == "100 users of every client type, a day of 8 hours in 45 seconds"
    assert shown["small"] == "1 server of each role"


def test_limit_sets_are_listed_shown_and_validated():
    code, out, _ = run("list", "limits")
    assert code == 0
    assert "exchange2010-scom  Exchange 2010: the critical alerts" in out
    code, out, _ = run("show", "limits", "exchange2007", "--json")
    assert code == 0
    assert json.loads(out)["limit"][0]["op"] == "=="
    code, out, err = run("validate", "limits")
    assert (code, err) == (0, "")
    assert "client-side: ok\nexchange2003: ok\n" in out


def test_list_of_one_kind_as_json():
    code, out, _ = run("list", "message", "--json")
    assert code == 0
    assert list(json.loads(out)) == ["message"]
    assert set(json.loads(out)["message"]) == {"light", "medium", "heavy", "very-heavy"}


def test_show_prints_the_file_with_its_comments():
    code, out, _ = run("show", "client", "outlook2003-online-anywhere")
    assert code == 0
    assert out.startswith("# Outlook 2003 in online mode")
    assert 'extends = "outlook2007-online-anywhere"' in out


def test_show_as_json_has_what_was_inherited():
    code, out, _ = run("show", "client", "outlook2003-online-anywhere", "--json")
    assert code == 0
    assert json.loads(out)["connections"] == {"mail": 1, "public_folder": 1, "directory": 1}


def test_show_of_a_topology_is_asked_of_the_mock(tmp_path):
    (tmp_path / "mine.toml").write_text("extends = 'small'\n[accounts]\ncount = 7\n")
    code, out, err = run("show", "topology", str(tmp_path / "mine.toml"), "--json")
    topology = json.loads(out)
    assert (code, err) == (0, "")
    assert topology["accounts"]["count"] == 7
    assert topology["http"]["framing"] == "plain"


def test_validate_without_names_takes_all_that_are_built_in():
    for kind in ("campaign", "client", "dialect", "limits", "message", "topology"):
        listed = json.loads(run("list", kind, "--json")[1])[kind]
        assert run("validate", kind) == (0, "".join(f"{name}: ok\n" for name in listed), "")


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        ("topology", "extends = 'small'\n[http]\nprt = 1\n", "http.prt: unknown key; allowed: port, "),
        ("topology", "extends = ", "not TOML"),
        ("limits", "", "there is neither a [[limit]] nor a threshold"),
        ("client", "title = 'x'\n", "version: missing"),
        ("message", "extends = 'light'\nread_per_day = 21\n", "read_per_day must not exceed"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, kind, text, problem):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    code, out, err = run("validate", kind, str(path))
    assert (code, out) == (2, "")
    assert err.startswith(f"{path}: ")
    assert problem in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("kind", ["campaign", "client", "dialect", "limits", "message", "topology"])
def test_a_file_that_is_not_there_is_said_alike_for_all(tmp_path, kind):
    path = tmp_path / "none.toml"
    for command in (("show",), ("show", "--json"), ("validate",)):
        code, out, err = run(command[0], kind, str(path), *command[1:])
        assert (code, out) == (2, "")
        assert f"{path}: there is no such file\n" in err


def test_names_are_completed():
    [name] = [param for param in profiles.commands["show"].params if param.name == "name"]
    for kind, names in (("message", ["heavy"]), ("limits", []), (None, [])):
        ctx = profiles.commands["show"].make_context("show", [], resilient_parsing=True)
        ctx.params["kind"] = kind
        assert [item.value for item in name.shell_complete(ctx, "h")] == names


def test_validate_says_ok():
    assert run("validate", "campaign", "quickstart", "smoke") == (0, "quickstart: ok\nsmoke: ok\n", "")
    assert run("validate", "client", "loadgen-2007-online") == (0, "loadgen-2007-online: ok\n", "")


def test_validate_a_wrong_file_is_exit_code_2_and_one_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("extends = 'smoke'\nspeeed = 4\n")
    code, out, err = run("validate", "campaign", "smoke", str(path))
    assert (code, out) == (2, "smoke: ok\n")
    assert err.startswith(f"{path}: speeed: unknown key (did you mean speed or ")
    assert err.count("\n") == 1


def test_validate_looks_at_a_campaign_as_a_whole(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("extends = 'smoke'\ngroup = []\n")
    code, out, _ = run("validate", "campaign", str(path), "--json")
    assert code == 2
    assert json.loads(out)[str(path)] == {
        "ok": False,
        "problem": "campaign mine: group: there are no users; give at least one [[group]]",
    }


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (
            ("show", "client", "outlook"),
            "'outlook' is no built-in client profile (did you mean outlook2003-cached or "
            "outlook2003-cached-anywhere or outlook2003-online?); known: ",
        ),
        (
            ("validate", "topology", "smal"),
            "'smal' is no built-in topology profile (did you mean small?); known: default, ",
        ),
        (
            ("validate", "limit", "x"),
            "'limit' is not one of 'campaign', 'client', 'dialect', 'limits', 'mess",
        ),
    ],
)
def test_wrong_usage_is_exit_code_2(args, problem):
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert problem in err


@pytest.mark.parametrize("args", [(), ("list",), ("show",), ("validate",)])
def test_help_has_an_example(args):
    code, out, _ = run(*args, "--help")
    assert code == 0
    assert "Example:\n    loadgen profiles " in out
