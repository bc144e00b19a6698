"""``loadgen control``, before a run that is replaced."""

import json

import pytest
from click.testing import CliRunner

from loadgen.cli import control as control_module
from loadgen.cli.main import main
from loadgen.engine.control import Answer, Command
from loadgen.engine.progress import Progress
from loadgen.errors import TransportError

STATUS = Progress(
    phase="pause",
    phase_s=3.0,
    phase_length_s=None,
    users=10,
    users_planned=20,
    connections=60,
    operations_per_s=0.0,
    p50_ms=None,
    p99_ms=None,
    done=5,
    failed=0,
    skipped=0,
)


@pytest.fixture
def said(monkeypatch):
    """The commands that reached the run; it cannot be resumed."""
    said = []

    def ask(folder, command):
        said.append(command)
        if command.command == "stop":
            raise TransportError(f"{folder}: nobody listens")
        is_status = command.command == "status"
        return Answer(ok=command.command != "resume", text="\x1btold", status=STATUS if is_status else None)

    monkeypatch.setattr(control_module, "ask", ask)
    return said


def invoke(folder, *words):
    return CliRunner().invoke(main, ["control", str(folder), *words])


def test_a_command_is_passed_on_and_its_answer_told(said, tmp_path):
    result = invoke(tmp_path, "scale", "50")
    assert (result.exit_code, result.stdout) == (0, "\\x1btold\n")
    assert said == [Command("scale", 50)]


def test_what_the_run_refuses_is_told_on_standard_error(said, tmp_path):
    result = invoke(tmp_path, "resume")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "\\x1btold\n")


def test_status_is_a_line_or_the_whole_answer(said, tmp_path):
    assert invoke(tmp_path, "status").stdout.startswith("pause         3 s  users 10/20  connections 60")
    answer = json.loads(invoke(tmp_path, "status", "--json").stdout)
    assert (answer["schema"], answer["ok"], answer["status"]["users_planned"]) == (1, True, 20)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("scale",), 2, "takes a number of users"),
        (("pause", "5"), 2, "takes a number of users"),
        (("dance",), 2, "'dance' is not one of"),
        (("stop",), 3, "nobody listens"),
    ],
)
def test_what_goes_wrong_is_a_line_and_an_exit_code(said, tmp_path, words, code, says):
    result = invoke(tmp_path, *words)
    assert result.exit_code == code
    assert says in result.stderr


def test_a_run_that_is_not_there(tmp_path):
    assert invoke(tmp_path, "pause").exit_code == 3
    assert invoke(tmp_path / "none", "pause").exit_code == 2
