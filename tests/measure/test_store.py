import csv
import errno
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from loadgen.measure import store
from loadgen.measure.recorder import Event, Failure, Gauges, Recorder, Snapshot
from loadgen.measure.sample import Sample
from loadgen.measure.store import Phase, ResultsError, RunRecord, RunStore, read_run

S = 1_000_000_000
ORIGIN_NS = 500 * S
STARTED = datetime(2025, 3, 4, 6, 6, 7, tzinfo=timezone(timedelta(hours=1)))


class Summary(msgspec.Struct):
    schema: int
    verdict: str


def record(**changes: object) -> RunRecord:
    run = RunRecord(
        campaign={"users": 5}, seed=3, target="mock", started=STARTED.isoformat(), phases=[Phase("ramp", 0.0)]
    )
    return msgspec.structs.replace(run, **changes)


def snapshot(second: int, shard: int = 0) -> Snapshot:
    recorder = Recorder(shard, ORIGIN_NS + second * S)
    recorder.measure_between(0, 10**18)
    due = ORIGIN_NS + second * S
    recorder.record(Sample("read_message", due, due, due + 4_000_000))
    recorder.lag("read_message", due, due + 2_000_000)
    recorder.record(Sample("send_message", due, due, due + S, "timeout"), "no answer\nfrom \u2028 it")
    recorder.skip("delete_message")
    recorder.event(due, "reconnect", "cut", user=7)
    gauges = Gauges(users_logged_on=5, virtual_connections={"mail": 5}, unfinished=2, busy=0.25)
    return recorder.snapshot(ORIGIN_NS + (second + 1) * S, gauges)


def write(out: Path) -> Path:
    with RunStore.create(out, "quick start/../x", STARTED, ORIGIN_NS) as run:
        run.write_run(record())
        run.write_event(Event(ORIGIN_NS, "phase", "ramp"))
        for second in range(3):
            run.write_interval("measure", [snapshot(second), snapshot(second, shard=1)])
            run.write_summary(Summary(1, "INVALID"))
        run.write_connections(ORIGIN_NS + S, "peak", {"store": 10, "referral": 4}, {"kernel": {"store": 10}})
        run.write_run(record(exit_code=0))
        return run.folder


def test_the_folder_is_named_for_utc_time_and_campaign(tmp_path):
    folders = []
    for _ in range(3):
        with RunStore.create(tmp_path, "quick start/../x", STARTED, 0) as run:
            folders.append(run.folder.name)
    assert folders == ["20250304T050607Z-quick-start-..-x" + end for end in ("", "-2", "-3")]


def test_a_run_reads_back(tmp_path):
    folder = write(tmp_path / "results")
    assert sorted(path.name for path in folder.iterdir()) == [
        "connections.csv",
        "counters.csv",
        "events.jsonl",
        "latency.hlog",
        "run.json",
        "summary.json",
        "timeseries.csv",
    ]
    run = read_run(folder)
    assert run.run["seed"] == 3
    assert run.run["exit_code"] == 0
    assert run.run["versions"]["outlook-loadgen"]
    assert run.run["machine"]["cores"] >= 1
    assert run.summary == {"schema": 1, "verdict": "INVALID"}
    assert run.histograms["read_message.response"].count == 6
    assert len(run.timeseries) == 3
    assert (
        run.timeseries[1]
        | {
            "schema": "1",
            "time_s": "1.000",
            "length_s": "1.000",
            "phase": "measure",
            "users_logged_on": "10",
            "virtual_connections": "10",
            "unfinished": "4",
            "busy": "0.250",
            "lag_p99_ms": "2.000",
            "read_message.done": "2",
            "read_message.response_p50_ms": "4.001",
            "send_message.failed": "2",
            "delete_message.skipped": "2",
            "send_message.response_p99_ms": "",
        }
        == run.timeseries[1]
    )
    assert run.connections == [
        dict(zip(store.CONNECTIONS_HEADER, row, strict=True))
        for row in (
            ("1", "1.000", "peak", "store", "10", "", "10", ""),
            ("1", "1.000", "peak", "referral", "4", "", "", ""),
        )
    ]


def test_events_tell_failures_and_what_happened(tmp_path):
    events = read_run(write(tmp_path)).events
    assert events[0] == {"schema": 1, "time_s": 0.0, "kind": "phase", "text": "ramp"}
    assert events[1] == {
        "schema": 1,
        "time_s": 1.0,
        "kind": "failure",
        "text": "no answer\nfrom \u2028 it",
        "shard": 0,
        "operation": "send_message",
        "outcome": "timeout",
        "count": 1,
    }
    assert events[2] == {
        "schema": 1,
        "time_s": 0.0,
        "kind": "reconnect",
        "text": "cut",
        "shard": 0,
        "user": 7,
    }
    assert len(events) == 1 + 3 * 2 * 2


def test_dropped_events_are_owned_up_to(tmp_path):
    with RunStore.create(tmp_path, "x", STARTED, 0) as run:
        run.write_interval("ramp", [Snapshot(shard=0, started_ns=0, ended_ns=S, events_dropped=7)])
        run.write_run(record())
    [event] = read_run(run.folder).events
    assert event["text"] == "7 more events in this interval were not kept"


def test_an_interval_without_snapshots_leaves_no_row(tmp_path):
    with RunStore.create(tmp_path, "", STARTED, 0) as run:
        run.write_interval("ramp", [])
        run.write_run(record())
    assert run.folder.name.endswith("-campaign")
    assert read_run(run.folder).timeseries == []


@pytest.mark.parametrize("name", ["latency.hlog", "timeseries.csv", "connections.csv", "events.jsonl"])
def test_a_file_cut_off_anywhere_can_still_be_read(tmp_path, name):
    path = write(tmp_path) / name
    whole = path.read_bytes()
    for end in range(0, len(whole), 11):
        path.write_bytes(whole[:end])
        run = read_run(path.parent)
        lines = whole[:end].count(b"\n")
        if name == "events.jsonl":
            assert len(run.events) == lines
        if name == "timeseries.csv":
            assert len(run.timeseries) == max(0, lines - 1)


def test_a_run_killed_before_its_first_summary_can_be_read(tmp_path):
    folder = write(tmp_path)
    (folder / "summary.json").unlink()
    assert read_run(folder).summary is None


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda folder: (folder / "run.json").unlink(), r"run\.json: No such file or directory"),
        (lambda folder: (folder / "run.json").write_text("{"), "truncated"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, damage, problem):
    folder = write(tmp_path)
    damage(folder)
    with pytest.raises(ResultsError, match=problem):
        read_run(folder)


def test_json_files_are_replaced_as_a_whole(tmp_path, monkeypatch):
    folder = write(tmp_path)
    before = (folder / "summary.json").read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with (
        pytest.raises(
            ResultsError, match=r"summary\.json: No space left on device; make room or give another --out"
        ),
        RunStore(folder, STARTED, 0) as run,
    ):
        run.write_summary(Summary(1, "PASS"))
    assert (folder / "summary.json").read_bytes() == before
    assert list(folder.glob("*.draft")) == []


def test_a_full_disk_is_one_clear_error(tmp_path):
    full = store._Lines(Path("/dev/full"), "")
    with pytest.raises(
        ResultsError, match=r"^/dev/full: No space left on device; make room or give another --out$"
    ):
        full.append("line\n")
    full.close()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="Not a directory"):
        RunStore.create(tmp_path / "file", "x", STARTED, 0)
    with pytest.raises(ResultsError, match="Is a directory"):
        store._Lines(tmp_path, "")


def test_a_thousand_runs_in_one_second_are_enough(tmp_path):
    stem = "20250304T050607Z-x"
    for attempt in range(1, 1000):
        (tmp_path / (stem if attempt == 1 else f"{stem}-{attempt}")).mkdir()
    with pytest.raises(ResultsError, match="exists too often"):
        RunStore.create(tmp_path, "x", STARTED, 0)


def test_files_can_be_read_by_others_without_us(tmp_path):
    folder = write(tmp_path)
    with (folder / "timeseries.csv").open(newline="") as lines:
        rows = list(csv.reader(lines))
    assert {len(row) for row in rows} == {len(store.TIMESERIES_HEADER)}
    assert json.loads((folder / "run.json").read_text())["schema"] == 1
    assert STARTED.astimezone(UTC).isoformat() in (folder / "latency.hlog").read_text()


def test_a_package_that_is_missing_is_said_so(monkeypatch):
    monkeypatch.setattr(store, "_PACKAGES", ("no-such-package",))
    assert store.describe_versions()["no-such-package"] == "not installed"


def test_a_failure_is_one_line_however_often_it_came(tmp_path):
    failure = Failure("log_on", "unauthorized", 9_000, S, 2 * S, "HTTP 401")
    with RunStore.create(tmp_path, "x", STARTED, 0) as run:
        run.write_interval("ramp", [Snapshot(shard=0, started_ns=0, ended_ns=S, failures=[failure])])
        run.write_run(record())
    [event] = read_run(run.folder).events
    assert event["count"] == 9_000
