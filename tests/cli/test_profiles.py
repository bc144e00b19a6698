import json

import pytest
from click.testing import CliRunner

from loadgen.cli.profiles import profiles


def run(*args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(profiles, args)
    return result.exit_code, result.stdout, result.stderr


def test_list_shows_every_kind_with_titles():
    code, out, _ = run("list")
    assert code == 0
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [
        "campaign",
        "client",
        "message",
    ]
    assert (
        "  quickstart                   100 users of every client type, a day of 8 hours in 45 seconds\n"
        in out
    )


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


def test_validate_says_ok():
    assert run("validate", "campaign", "quickstart", "smoke") == (0, "quickstart: ok\nsmoke: ok\n", "")
    assert run("validate", "client", "loadgen-2007-online") == (0, "loadgen-2007-online: ok\n", "")


def test_validate_a_wrong_file_is_exit_code_2_and_one_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("extends = 'smoke'\nspeeed = 4\n")
    code, out, err = run("validate", "campaign", "smoke", str(path))
    assert (code, out) == (2, "smoke: ok\n")
    assert err.startswith(f"{path}: speeed: unknown key; allowed: name, title, group, ")
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
            "Error: 'outlook' is no built-in client profile; known: loadgen-2003-cached",
        ),
        (("validate", "limits", "x"), "'limits' is not one of 'campaign', 'client', 'message'"),
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
