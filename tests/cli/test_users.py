import json

import pytest
from click.testing import CliRunner

from loadgen.cli.main import main

PASSWORD = "N0t-for-any-eyes"


def run(*args: str, env: dict | None = None, typed: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(
        main, ("users", *args), env={"LOADGEN_PASSWORD": None, **(env or {})}, input=typed
    )
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def path(tmp_path):
    return tmp_path / "users.csv"


def make(path, *more, **options):
    return run("make", "u{index:02d}@example.org", "0-2", "--out", str(path), *more, **options)


def test_a_file_is_made_from_a_pattern_for_its_owner_alone(path):
    code, out, _ = make(path, env={"LOADGEN_PASSWORD": PASSWORD})
    assert (code, out) == (0, f"{path}: 3 accounts, u00@example.org to u02@example.org; mode 0600\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().splitlines()[1] == f"u00@example.org,{PASSWORD},u00@example.org"
    assert list(path.parent.iterdir()) == [path]


def test_a_password_is_typed_twice_and_not_shown(path):
    code, out, err = make(path, typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert code == 0
    assert PASSWORD not in out + err
    assert path.read_text().count(PASSWORD) == 3


def test_generated_passwords_differ_and_have_what_policies_want(path):
    assert make(path, "--generate")[0] == 0
    passwords = [line.split(",")[1] for line in path.read_text().splitlines()[1:]]
    assert len(set(passwords)) == 3
    for password in passwords:
        assert len(password) >= 20
        assert any(map(str.islower, password))
        assert any(map(str.isupper, password))
        assert any(map(str.isdigit, password))


def test_a_file_is_replaced_only_by_force_and_then_hidden_from_others(path):
    path.write_text("mine")
    path.chmod(0o644)
    code, _, err = make(path, "--generate")
    assert (code, err) == (2, f"Error: {path}: exists already; --force replaces it\n")
    assert make(path, "--generate", "--force")[0] == 0
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "none" / "users.csv"
    assert make(path, "--generate")[::2] == (2, f"Error: {path}: No such file or directory\n")


def test_a_right_file_is_right(path):
    make(path, "--generate")
    assert run("check", str(path)) == (0, f"{path}: 3 accounts; discovery has to complete 3\n", "")
    code, out, _ = run("check", str(path), "--json")
    assert (code, json.loads(out)) == (0, {"accounts": 3, "problems": [], "warnings": []})


def test_every_wrong_line_is_told(path):
    path.write_text(f"user,password\na@x.org,{PASSWORD}\nb,{PASSWORD}\na@x.org,{PASSWORD}\n")
    path.chmod(0o604)
    code, out, err = run("check", str(path))
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"Warning: {path}: others may read it (mode 0604); chmod 600 {path}",
        f"{path}: line 3: user: 'b' is no address, so mailbox has to be given",
        f"{path}: line 4: a@x.org stands in line 2 already",
    ]
    code, out, _ = run("check", str(path), "--json")
    assert code == 2
    assert [problem["line"] for problem in json.loads(out)["problems"]] == [3, 4]


def test_secrets_are_masked(path):
    path.write_text(f"user,password,display_name\na@x.org,{PASSWORD},Ann\nb@x.org,,\n")
    path.chmod(0o600)
    code, out, _ = run("show", str(path))
    assert (code, out.splitlines()) == (
        0,
        [
            "user=a@x.org  secret=********  mailbox=a@x.org  display_name=Ann",
            "user=b@x.org  secret=none  mailbox=b@x.org",
        ],
    )
    code, out, _ = run("show", str(path), "--json")
    assert [row["secret"] for row in json.loads(out)] == ["********", "none"]
    assert PASSWORD not in out
