"""``import.json``: the typed form of what was imported; other commands read it beside runs and plans."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from loadgen.errors import ProfileError
from loadgen.measure import store

SCHEMA: Final = 1
FILE: Final = "import.json"

Kind = Literal["perfmon", "connections", "table"]


class RunHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the imported run was, as far as whoever filled the table knew; lengths in seconds."""

    title: str = ""
    users: int | None = None
    client: str = ""
    profile: str = ""
    day_s: float | None = None
    length_s: float | None = None
    passed: bool | None = None
    """The other tool's own verdict."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One line of LoadGen's task table; ``operation`` is ours that it is set beside, "" if there is none."""

    task: str
    operation: str = ""
    count: int
    avg_ms: float | None = None
    p95_ms: float | None = None
    exceptions: int = 0


class OperationFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What all tasks of one operation say together.

    Times are service times. Percentiles do not add up, so ``service_p95_ms`` is None beyond one task.
    """

    tasks: tuple[str, ...]
    done: int
    failed: int
    service_mean_ms: float | None = None
    service_p95_ms: float | None = None


class CounterFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One counter of one server over the whole file; the samples themselves are in ``counters.csv``."""

    server: str
    counter: str
    samples: int
    mean: float
    min: float
    max: float


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of ``import.json``. What the source says nothing of is empty, or None."""

    schema: int = SCHEMA
    kind: Kind
    sources: tuple[str, ...]
    """The files as they were named."""
    imported: str
    """UTC, ISO 8601, as are the others."""
    started: str | None = None
    ended: str | None = None
    run: RunHeader = RunHeader()
    counted: dict[str, dict[str, int]] = {}
    """TCP connections by the role of the server that listed them, then by column."""
    connections: dict[str, int | None] = {}
    """By column of the connection table, sums included; None where no listing sees the column."""
    virtual_connections: dict[str, int] = {}
    """By purpose, of a LoadGen run: mail, and with an explicit 0 all that LoadGen lacks."""
    operations: dict[str, OperationFigures] = {}
    tasks: tuple[Task, ...] = ()
    counters: tuple[CounterFigures, ...] = ()
    limit_set: str = ""
    limit_results: tuple[dict[str, Any], ...] = ()
    """As in ``summary.json``, if the import was held against a limit set."""
    notes: tuple[str, ...] = ()
    """What the reader of these figures should know: what was left out, or could not be understood."""


def now() -> str:
    """This moment as ``imported`` has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def make_folder(out: Path, kind: Kind) -> Path:
    """A new folder ``<UTC time>-import-<kind>`` below ``out``; raises :class:`ProfileError`."""
    return store.make_folder(out, datetime.now(UTC), f"import-{kind}", ProfileError)


def write_import(folder: Path, imported: Imported) -> None:
    """Writes ``import.json``, as a whole or not at all; raises :class:`ProfileError`."""
    store.write_json(folder / FILE, imported, ProfileError)


def is_import(folder: Path) -> bool:
    """Whether a folder holds an import."""
    return (folder / FILE).is_file()


def read_import(folder: Path) -> Imported:
    """Reads ``import.json`` of a folder; raises :class:`~loadgen.errors.ProfileError`."""
    path = folder / FILE
    try:
        imported = msgspec.json.decode(path.read_bytes(), type=Imported)
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise ProfileError(f"{path}: {error}") from None
    if imported.schema > SCHEMA:
        raise ProfileError(f"{path}: schema {imported.schema} is newer than this version's {SCHEMA}")
    return imported
