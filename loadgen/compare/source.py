"""What is compared: a run's folder, a plan, an import, or a search for the capacity, in one form."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

from loadgen.capacity.found import Capacity
from loadgen.capacity.plan import Plan
from loadgen.compare.recording import Recording, read_recording
from loadgen.errors import ProfileError
from loadgen.imports import imported
from loadgen.imports.imported import Imported
from loadgen.measure.columns import COLUMNS
from loadgen.measure.sample import OPERATIONS
from loadgen.measure.threshold import Document
from loadgen.report import recorded
from loadgen.report.summary import Cell
from loadgen.workload.connection_model import as_loadgen

Kind = Literal["run", "plan", "import", "capacity"]
Moment = Literal["peak", "steady"]
MOMENTS: Final[tuple[Moment, ...]] = ("peak", "steady")
CAPACITY_FILE: Final = "capacity.json"
_RUN_FILE: Final = "run.json"
_PARTIES: Final = ("kernel", "mock", "client", "expected")
"""Whose count stands for all, in this order."""
_NO_SETTINGS: Final = ("name", "title", "out")
"""Keys of a campaign that change nothing of what is run."""
StructT = TypeVar("StructT", bound=msgspec.Struct)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One of the things that are compared. What it says nothing of is empty, or None."""

    label: str
    """A for the first, B for the second, and so on."""
    name: str
    kind: Kind
    path: str
    users: int | None = None
    verdict: str | None = None
    measured_s: float | None = None
    values: Document = {}
    """In the form of ``summary.json``, with rates and means beside."""
    connections: dict[Moment, dict[str, int | None]] = {}
    """TCP connections by column: counted if somebody has, else as expected."""
    as_loadgen: dict[str, int] = {}
    """What LoadGen would have opened for the same users, by column."""
    recording: Recording | None = None
    settings: dict[str, str] = {}
    """All that may explain a difference, by dotted key, as JSON."""
    notes: tuple[str, ...] = ()

    @property
    def is_invalid(self) -> bool:
        """Whether its own verdict is that it says nothing about the target."""
        return self.verdict == "INVALID"


def read_source(path: Path, label: str) -> Source:
    """Reads what ``path`` names; raises :class:`ProfileError` and :class:`ResultsError`."""
    if path.is_file() and path.name in (_RUN_FILE, "summary.json", imported.FILE, CAPACITY_FILE):
        path = path.parent
    if path.is_dir():
        for file, read in _FOLDERS.items():
            if (path / file).is_file():
                return read(path, label)
        raise ProfileError(f"{path}: holds none of {', '.join(_FOLDERS)}; give a folder of results")
    if not path.exists():
        raise ProfileError(f"{path}: no such file or folder; give a folder of results, or a plan")
    return _read_plan(path, label)


def _read_run(folder: Path, label: str) -> Source:
    found = recorded.read(folder)
    summary, run = found.summary, found.run
    recording = read_recording(folder)
    values = msgspec.to_builtins(summary)
    notes = list(summary.warnings)
    if summary.verdict == "INVALID":
        notes.insert(0, f"INVALID: {'; '.join(summary.reasons)}. It says nothing about the target.")
    for name, operation in values["operations"].items():
        _add_rate_and_means(operation, name, recording)
    tables = {"peak": summary.connections.peak, "steady": summary.connections.steady}
    return Source(
        label=label,
        name=folder.resolve().name,
        kind="run",
        path=str(folder),
        users=summary.users.planned,
        verdict=summary.verdict,
        measured_s=summary.measured_s,
        values=values,
        connections={moment: _counted(tables[moment]) for moment in MOMENTS if tables[moment]},
        as_loadgen=summary.connections.as_loadgen,
        recording=recording,
        settings=_settings_of(run),
        notes=tuple(notes),
    )


def _add_rate_and_means(operation: dict[str, Any], name: str, recording: Recording | None) -> None:
    """What a recording says beside the summary: how many a second, and the means that other tools tell."""
    rate = recording.rate(name) if recording else None
    operation["done_per_s"] = rate.per_s if rate else None
    for kind in ("response", "service"):
        times = recording.times(f"{name}.{kind}") if recording else None
        operation[f"{kind}_ms"]["mean"] = times.mean_ms if times else None


def _settings_of(run: msgspec.Struct) -> dict[str, str]:
    document = msgspec.to_builtins(run)
    campaign = {key: value for key, value in document["campaign"].items() if key not in _NO_SETTINGS}
    kept = {key: document[key] for key in ("client_types", "message_profiles", "target")}
    kept |= {"campaign": campaign, "versions": document["versions"], "machine": document["machine"]}
    return dict(_flat(kept))


def _flat(tree: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Dotted keys with their values as JSON."""
    flat: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{above}{key}.")
        else:
            flat.append((f"{above}{key}", msgspec.json.encode(value).decode()))
    return flat


def _counted(table: Mapping[str, Cell]) -> dict[str, int | None]:
    return {
        column: next((count for party in _PARTIES if (count := getattr(cell, party)) is not None), None)
        for column, cell in table.items()
    }


def _read_plan(path: Path, label: str) -> Source:
    plan = _decode(path, Plan, "a plan, as `loadgen plan --json` prints it")
    moments: dict[Moment, dict[str, int | None]] = {
        "peak": {column: pair.startup for column, pair in plan.connections.items()},
        "steady": {column: pair.steady for column, pair in plan.connections.items()},
    }
    return Source(
        label=label,
        name=path.name,
        kind="plan",
        path=str(path),
        users=plan.users,
        values={"users": {"planned": plan.users}, "connections": _as_expected(moments)},
        connections=moments,
        as_loadgen=plan.as_loadgen.connections,
        notes=("A plan has connections alone: it is arithmetic, nothing was measured.",),
    )


def _read_capacity(folder: Path, label: str) -> Source:
    found = _decode(folder / CAPACITY_FILE, Capacity, "what `loadgen capacity` writes")
    moment: Moment = "peak" if found.startup else "steady"
    stopped = " ".join(filter(None, (found.stopped_by, found.limit, found.server)))
    return Source(
        label=label,
        name=folder.resolve().name,
        kind="capacity",
        path=str(folder),
        users=found.users,
        verdict=found.verdict,
        values={
            "users": {"planned": found.ceiling, "admitted_peak": found.users},
            "connections": {moment: msgspec.to_builtins(found.connections)},
            "generator": msgspec.to_builtins(found.generator),
        },
        connections={moment: _counted(found.connections)} if found.connections else {},
        notes=(f"A search for the capacity: {found.users:,} users pass; stopped by {stopped}.",),
    )


def _read_import(folder: Path, label: str) -> Source:
    found = imported.read_import(folder)
    connections: dict[str, int | None] = dict(found.connections)
    if not connections and found.kind == "table" and found.run.users is not None:
        connections = {**as_loadgen(found.run.users)}
    moments: dict[Moment, dict[str, int | None]] = {"steady": connections} if connections else {}
    passed = {True: "PASS", False: "FAIL", None: None}[found.run.passed]
    return Source(
        label=label,
        name=found.run.title or folder.resolve().name,
        kind="import",
        path=str(folder),
        users=found.run.users,
        verdict=passed,
        measured_s=found.run.length_s,
        values={
            "users": {"planned": found.run.users},
            "operations": _imported_operations(found),
            "connections": {
                moment: {column: {"kernel": count} for column, count in cells.items()}
                for moment, cells in moments.items()
            },
        },
        connections=moments,
        notes=found.notes,
    )


def _imported_operations(found: Imported) -> dict[str, Any]:
    """What a table of tasks says; what no task of it stands for was not done at all."""
    if found.kind != "table":
        return {}
    operations: dict[str, Any] = {name: {"done": 0, "failed": 0} for name in OPERATIONS}
    for name, each in found.operations.items():
        times = {"mean": each.service_mean_ms, "p95": each.service_p95_ms}
        operations[name] = {"done": each.done, "failed": each.failed, "service_ms": times}
        if found.run.length_s:
            operations[name]["done_per_s"] = each.done / found.run.length_s
    return operations


def _as_expected(moments: Mapping[Moment, Mapping[str, int | None]]) -> dict[str, Any]:
    return {
        moment: {column: {"expected": cells[column]} for column in COLUMNS if column in cells}
        for moment, cells in moments.items()
    }


def _decode(path: Path, shape: type[StructT], what: str) -> StructT:
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: not {what}: {error}") from None


_FOLDERS: Final[dict[str, Callable[[Path, str], Source]]] = {
    imported.FILE: _read_import,
    CAPACITY_FILE: _read_capacity,
    _RUN_FILE: _read_run,
}
"""By what tells one folder from the others; the folder of a search for the capacity is a run's, too."""
