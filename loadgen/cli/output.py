"""Standard output: answers as JSON, and a reader who leaves before the end, as ``head`` does, or no room."""

import io
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from loadgen.cli.progress import Command
from loadgen.measure.store import ResultsError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class NotPrinted(ResultsError):
    """Standard output has no room for what was to be printed."""


class _StandardOutput(io.FileIO):
    """What is printed after the reader has left, or after there was no room, goes nowhere.

    That a reader left is no error; that there is no room is told once, by :class:`NotPrinted`.
    """

    def __init__(self) -> None:
        super().__init__(sys.stdout.fileno(), "w", closefd=False)
        self._is_over = False

    def write(self, data: "ReadableBuffer", /) -> int:
        if not self._is_over:
            try:
                while (written := super().write(data)) is None:  # whoever shares it has made it not block
                    select.select((), (self,), ())
                return written
            except OSError as error:
                self._is_over = True
                if not isinstance(error, BrokenPipeError):
                    raise NotPrinted(f"standard output: {error.strerror}") from None
        return memoryview(data).nbytes


def guard_standard_output() -> None:
    """From now on printing fails with nothing but :class:`NotPrinted`, whatever standard output is."""
    usual = sys.stdout
    if usual is sys.__stdout__ and isinstance(usual, io.TextIOWrapper):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_StandardOutput()), usual.encoding, usual.errors, line_buffering=usual.isatty()
        )


@contextmanager
def also_in(results: Path) -> Iterator[None]:
    """What is printed within this is in a folder, too: no room for it is said, and changes no verdict."""
    try:
        yield
    except NotPrinted as error:
        click.echo(f"Error: {error}; all that was found is in {results}", err=True)


def json_help(what: str = "JSON") -> str:
    """The help of every ``--json``; ``what`` names the file that it prints, if there is one."""
    return f"Print {what} instead of text."


def json_option(what: str = "JSON") -> Callable[[Command], Command]:
    """``--json``, as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=json_help(what))


def print_json(value: object) -> None:
    """Prints what ``--json`` of every command does: its answer as JSON for people and programs to read."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))
