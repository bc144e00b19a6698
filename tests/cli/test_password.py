"""The password of all accounts is asked for while its question can still be seen."""

import pytest
from click.testing import CliRunner

from loadgen.cli import capacity, run
from loadgen.cli.main import main
from loadgen.engine import endpoint


@pytest.mark.parametrize("command", [run, capacity])
def test_it_is_asked_for_before_anything_is_drawn(monkeypatch, command):
    happened = []

    def display(*_arguments, **_keys):
        happened.append("drawn")
        raise RuntimeError

    monkeypatch.setattr(endpoint, "_password_of_all", lambda: happened.append("asked"))
    monkeypatch.setattr(command, "progress_display", display)
    words = [command.__name__.rpartition(".")[2], "quickstart", "--target", "https://mail.example.test"]
    words += ["--users-pattern", "u{index}@x.org", "--users-range", "0-4"]
    CliRunner().invoke(main, words)
    assert happened == ["asked", "drawn"]
