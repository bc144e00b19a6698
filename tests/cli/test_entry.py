import sys

import pytest

from loadgen.__main__ import main


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
