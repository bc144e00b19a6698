"""What ``loadgen mock`` hands to the mock organisation's own program."""

import os
import sys

import pytest
from click.testing import CliRunner

from loadgen.cli.mock import mock


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        ([], ["default"]),
        (["small", "--json"], ["small", "--json"]),
        (
            ["my.toml", "--users", "20", "--base-address", "127.0.40.0", "--set", "a=1", "--set", "b.c=2"],
            ["my.toml", "--users", "20", "--base-address", "127.0.40.0", "--set", "a=1", "--set", "b.c=2"],
        ),
    ],
)
def test_arguments_are_handed_on(monkeypatch, given, handed_on):
    called = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: called.append((program, arguments)))
    assert CliRunner().invoke(mock, given).exit_code == 0
    assert called == [(sys.executable, [sys.executable, "-m", "mock_server", *handed_on])]


def test_no_mock_without_users():
    assert CliRunner().invoke(mock, ["--users", "0"]).exit_code == 2
