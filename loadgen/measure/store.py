"""What a run leaves in ``results/<UTC time>-<campaign>/``, written as the run goes.

JSON files are replaced as a whole; the others grow by whole lines. So a killed run leaves files that can be
read, and loses at most its last interval.
"""

import csv
import io
import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from loadgen.errors import LoadgenError
from loadgen.measure import counters as server_counters
from loadgen.measure import latency_log
from loadgen.measure.columns import ConnectionCount
from loadgen.measure.counters import CounterSample
from loadgen.measure.recorder import Event, Snapshot
from loadgen.measure.sample import OPERATIONS
from loadgen.measure.totals import Totals

SCHEMA: Final = 1
"""Version of the layout of every file here; goes up when a reader of the old one would be misled."""

PARTIES: Final = ("client", "kernel", "mock")
_NS_PER_S: Final = 1e9

CONNECTIONS_HEADER: Final = ("schema", "time_s", "moment", "column", "expected", *PARTIES)
_PER_OPERATION: Final = ("done", "failed", "skipped", "response_p50_ms", "response_p99_ms")
TIMESERIES_HEADER: Final = (
    "schema",
    "time_s",
    "length_s",
    "phase",
    "users_wanted",
    "users_logged_on",
    "users_admitted",
    "users_refused",
    "virtual_connections",
    "connections_lost",
    "reconnects",
    "unfinished",
    "busy",
    "lag_p99_ms",
    *(f"{operation}.{figure}" for operation in OPERATIONS for figure in _PER_OPERATION),
)
_PACKAGES: Final = ("outlook-loadgen", "aiohttp", "h11", "hdrhistogram", "msgspec", "uvloop")


class ResultsError(LoadgenError):
    """A results file could not be written or read; the text names it."""

    outcome = "results_not_written"


class Phase(msgspec.Struct):
    """A phase of the run, in seconds since its start; ``ended_s`` is missing while it lasts."""

    name: str
    started_s: float
    ended_s: float | None = None


def describe_versions() -> dict[str, str]:
    """Versions of this program and of what it stands on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def describe_machine() -> dict[str, Any]:
    """What may explain a figure: kernel, architecture, cores, memory."""
    octets = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": octets // 1_000_000,
    }


class RunRecord(msgspec.Struct, kw_only=True):
    """``run.json``: what was run, on what, against what. Holds no passwords."""

    schema: int = SCHEMA
    campaign: dict[str, Any]
    """The campaign as run, options included, in the form of its file."""
    client_types: dict[str, Any] = {}
    message_profiles: dict[str, Any] = {}
    seed: int
    run_id: str = ""
    """What the subjects of the run's mail begin with."""
    target: str
    dialect: str = ""
    """How the target was talked to."""
    dialect_reason: str = ""
    """What told that this is how it wants to be."""
    command: str = ""
    """What repeats the run, quoted for a shell; without passwords."""
    started: str
    """UTC, ISO 8601."""
    started_ns: int = 0
    """The same moment on the machine's monotonic clock; 0 if nobody knows."""
    control: str | None = None
    """Path of the socket by which the run could be controlled while it lasted."""
    ended: str | None = None
    exit_code: int | None = None
    phases: list[Phase] = []
    versions: dict[str, str] = msgspec.field(default_factory=describe_versions)
    machine: dict[str, Any] = msgspec.field(default_factory=describe_machine)


class RunStore:
    """The results folder of a run under way, a context manager. Raises :class:`ResultsError`."""

    def __init__(self, folder: Path, started: datetime, origin_ns: int, counters: Sequence[str] = ()) -> None:
        self._counters = counters
        self.folder = folder
        self._origin_ns = origin_ns
        self._latency = _Lines(folder / "latency.hlog", latency_log.header(started))
        self._timeseries = _Lines(folder / "timeseries.csv", _csv_line((*TIMESERIES_HEADER, *counters)))
        self._connections = _Lines(folder / "connections.csv", _csv_line(CONNECTIONS_HEADER))
        self._events = _Lines(folder / "events.jsonl", "")
        self._server_counters = _Lines(folder / server_counters.FILE, _csv_line(server_counters.HEADER))

    @classmethod
    def create(
        cls, out: Path, campaign: str, started: datetime, origin_ns: int, counters: Sequence[str] = ()
    ) -> Self:
        """Makes the folder. ``origin_ns`` is the monotonic time that belongs to ``started``.

        ``counters`` are those of the target that have columns of their own in the time series.
        """
        name = re.sub(r"[^\w.-]+", "-", campaign) or "campaign"
        return cls(make_folder(out, started, name), started, origin_ns, counters)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the growing files."""
        growing = (self._latency, self._timeseries, self._connections, self._events, self._server_counters)
        for lines in growing:
            lines.close()

    def write_run(self, record: RunRecord) -> None:
        """Replaces ``run.json``."""
        write_json(self.folder / "run.json", record)

    def write_summary(self, summary: msgspec.Struct) -> None:
        """Replaces ``summary.json``; its layout is :mod:`loadgen.report.summary`'s."""
        write_json(self.folder / "summary.json", summary)

    def write_interval(
        self,
        phase: str,
        snapshots: Sequence[Snapshot],
        counted: Mapping[str, float] | None = None,
        users_wanted: int | None = None,
    ) -> None:
        """Appends one interval of all shards: histograms, a row of the time series, failures and events.

        Takes up to 20 ms, so an engine that has other work on its loop calls this in a thread.
        """
        interval = Totals()
        for snapshot in snapshots:
            interval.add(snapshot)
            self._latency.append(latency_log.interval_lines(snapshot, self._origin_ns))
            self._events.append("".join(self._event_lines(snapshot)))
        if snapshots:
            started_ns = min(snapshot.started_ns for snapshot in snapshots)
            ended_ns = max(snapshot.ended_ns for snapshot in snapshots)
            row = self._timeseries_row(phase, users_wanted, interval, started_ns, ended_ns)
            row += [(counted or {}).get(name, "") for name in self._counters]
            self._timeseries.append(_csv_line(row))

    def write_connections(
        self, at_ns: int, moment: str, expected: Mapping[str, int], counts: Mapping[str, ConnectionCount]
    ) -> None:
        """Appends a count of connections; ``moment`` is ``peak``, ``steady``, or empty."""
        time_s = f"{self._seconds(at_ns):.3f}"
        self._connections.append(
            "".join(
                _csv_line((SCHEMA, time_s, moment, column, count, *_seen_by_parties(counts, column)))
                for column, count in expected.items()
            )
        )

    def write_counters(self, samples: Sequence[CounterSample]) -> None:
        """Appends samples of servers' performance counters."""
        self._server_counters.append("".join(_csv_line(row) for row in server_counters.rows(samples)))

    def write_event(self, event: Event) -> None:
        """Appends one event of the run itself: a phase, a barrier, an abort."""
        line = self._event_line(event.at_ns, event.kind, event.text, user=event.user, by=event.by)
        self._events.append(line)

    def _seconds(self, at_ns: int) -> float:
        return (at_ns - self._origin_ns) / _NS_PER_S

    def _timeseries_row(
        self, phase: str, users_wanted: int | None, interval: Totals, started_ns: int, ended_ns: int
    ) -> list[object]:
        gauges = interval.gauges.values()
        lag = interval.merged(tag for tag in interval.histograms if tag.endswith(".lag"))
        row: list[object] = [
            SCHEMA,
            f"{self._seconds(started_ns):.3f}",
            f"{(ended_ns - started_ns) / _NS_PER_S:.3f}",
            phase,
            users_wanted,
            interval.users_logged_on,
            interval.users_admitted,
            interval.users_refused,
            interval.virtual_connections,
            interval.connections_lost,
            interval.reconnects,
            sum(each.unfinished for each in gauges),
            f"{max((each.busy for each in gauges), default=0.0):.3f}",
            _ms(lag.percentiles_us((99,)).get(99)),
        ]
        for operation in OPERATIONS:
            counts = interval.counts[operation]
            at = interval.histogram(f"{operation}.response").percentiles_us((50, 99))
            row += [counts.done, counts.failed, counts.skipped, _ms(at.get(50)), _ms(at.get(99))]
        return row

    def _event_lines(self, snapshot: Snapshot) -> list[str]:
        lines = [
            self._event_line(
                failure.first_ns,
                "failure",
                failure.example,
                shard=snapshot.shard,
                operation=failure.operation,
                outcome=failure.outcome,
                count=failure.count,
            )
            for failure in snapshot.failures
        ]
        lines += [
            self._event_line(
                event.at_ns,
                event.kind,
                event.text,
                shard=snapshot.shard,
                user=event.user,
                limit=event.limit,
            )
            for event in snapshot.events
        ]
        if snapshot.events_dropped:
            text = f"{snapshot.events_dropped} more events in this interval were not kept"
            lines.append(self._event_line(snapshot.ended_ns, "events_dropped", text, shard=snapshot.shard))
        return lines

    def _event_line(self, at_ns: int, kind: str, text: str, **more: object) -> str:
        event = {"schema": SCHEMA, "time_s": round(self._seconds(at_ns), 3), "kind": kind, "text": text}
        event |= {key: value for key, value in more.items() if value is not None}
        return msgspec.json.encode(event).decode() + "\n"


def make_folder(out: Path, at: datetime, name: str, wrong: type[LoadgenError] = ResultsError) -> Path:
    """A new folder ``<UTC time>-<name>`` below ``out``; raises ``wrong``."""
    stem = f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{name}"
    for attempt in range(1, 1000):
        folder = out / (stem if attempt == 1 else f"{stem}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise _cannot_write(folder, error, wrong) from None
        return folder
    raise wrong(f"{out / stem}: exists too often; give another --out")


def write_json(path: Path, document: msgspec.Struct, wrong: type[LoadgenError] = ResultsError) -> None:
    """Replaces a file as a whole; raises ``wrong``."""
    draft = path.with_suffix(".draft")
    try:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _cannot_write(path, error, wrong) from None


class RecordedRun(msgspec.Struct):
    """What can be read of a results folder, complete or not."""

    run: dict[str, Any]
    summary: dict[str, Any] | None
    histograms: dict[str, Any]
    """By tag: :class:`~loadgen.measure.sparse.SparseHistogram` over all intervals."""
    timeseries: list[dict[str, str]]
    connections: list[dict[str, str]]
    events: list[dict[str, Any]]


def read_run(folder: Path) -> RecordedRun:
    """Reads a results folder; lines that a kill cut off are left out. Raises :class:`ResultsError`."""
    try:
        run = _read_json(folder / "run.json")
        summary_path = folder / "summary.json"
        return RecordedRun(
            run=run,
            summary=_read_json(summary_path) if summary_path.exists() else None,
            histograms=dict(latency_log.read(folder / "latency.hlog")),
            timeseries=_read_csv(folder / "timeseries.csv"),
            connections=_read_csv(folder / "connections.csv"),
            events=[msgspec.json.decode(line) for line in _whole_lines(folder / "events.jsonl")],
        )
    except OSError as error:
        raise ResultsError(f"{error.filename}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise ResultsError(f"{folder}: {error}") from None


class _Lines:
    """A file that grows by whole lines, each written by one call to the system."""

    def __init__(self, path: Path, header: str) -> None:
        self._path = path
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise _cannot_write(path, error) from None
        self.append(header)

    def append(self, lines: str) -> None:
        """Writes lines, each with its newline."""
        left = memoryview(lines.encode())
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError as error:
            raise _cannot_write(self._path, error) from None

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _cannot_write(path: Path, error: OSError, wrong: type[LoadgenError] = ResultsError) -> LoadgenError:
    return wrong(f"{path}: {error.strerror}; make room or give another --out")


def _csv_line(values: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def _seen_by_parties(counts: Mapping[str, ConnectionCount], column: str) -> list[object]:
    return [counts.get(party, {}).get(column) for party in PARTIES]


def _ms(value_us: int | None) -> str:
    return "" if value_us is None else f"{value_us / 1000:.3f}"


def _read_json(path: Path) -> dict[str, Any]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])


def _whole_lines(path: Path) -> list[str]:
    return [line.decode() for line in path.read_bytes().split(b"\n")[:-1]]


def _read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(_whole_lines(path)))
