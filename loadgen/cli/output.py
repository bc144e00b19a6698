"""Standard output: answers as JSON, and a reader who leaves before the end, as ``head`` does, or no room."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from loadgen.measure.store import ResultsError


@contextmanager
def reader_may_leave(results: Path | None = None) -> Iterator[None]:
    """Printing within this does not fail for want of a reader; what is left to print goes nowhere.

    Where it can't be written for another reason, that is said in a line if all of it is in the folder
    ``results`` too, so that the verdict stays the exit code; else it raises
    :class:`~loadgen.measure.store.ResultsError`.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _print_nowhere()
    except OSError as error:
        if error.filename is not None:
            raise  # of another file
        _print_nowhere()
        problem = f"standard output: {error.strerror}"
        if results is None:
            raise ResultsError(problem) from None
        click.echo(f"Error: {problem}; all that was found is in {results}", err=True)


def print_json(value: object) -> None:
    """Prints what ``--json`` of every command does: its answer as JSON for people and programs to read."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _print_nowhere() -> None:
    """What is in the buffer still would fail once more at the end of the process."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
