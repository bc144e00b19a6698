import re
import sys

import pytest
from click.testing import CliRunner

from loadgen.__main__ import main
from loadgen.cli.main import main as command_line


class Loading:
    """A module whose loading is interrupted."""

    @property
    def main(self):
        raise KeyboardInterrupt


def test_an_interrupt_while_the_command_loads_shows_no_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, "loadgen.cli.main", Loading())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130


def every_command(command, words=()):
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from every_command(below, (*words, name))


@pytest.mark.parametrize("words", [words for words, _ in every_command(command_line)], ids=" ".join)
def test_every_command_takes_debug_and_says_the_same_of_json(words):
    told = CliRunner().invoke(command_line, [*words, "--help"], terminal_width=200).stdout
    assert re.search(r"^  --debug +Show tracebacks\.$", told, re.MULTILINE)
    assert "--json" not in told or re.search(r"^  --json +Print .+ instead of text\.$", told, re.MULTILINE)
