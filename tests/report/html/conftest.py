"""Results folders to report on, written as a run writes them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from loadgen.measure.connections import Census, client_count
from loadgen.measure.outages import Outage
from loadgen.measure.recorder import Event, Gauges, Recorder
from loadgen.measure.sample import LAYERS, OPERATIONS, Sample
from loadgen.measure.store import Phase, RunRecord, RunStore
from loadgen.measure.threshold import Ending
from loadgen.measure.totals import Totals
from loadgen.report.summary import LimitHit, summarise
from loadgen.workload import connection_model, library
from loadgen.workload.campaign import load_campaign, populate, with_options

MS, S = 1_000_000, 1_000_000_000
ORIGIN = 7 * S
EVIL = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)> \x1b[2J \u202e@bad"
SECONDS = 40
OUTAGES = (
    Outage(
        from_s=3.0,
        admitted_before=1200,
        lost=1100,
        connections_lost=2300,
        recovered_after_s=11.0,
        refused_by_limit={"request_queue": 1700, "ports": 2},
    ),
    Outage(
        from_s=31.0,
        admitted_before=100,
        lost=9,
        connections_lost=10,
        recovered_after_s=None,
        refused_by_limit={},
    ),
)


def write_run(
    out: Path,
    *,
    evil: str = "",
    killed_before: str = "",
    title: str = "",
    outages: tuple[Outage, ...] = OUTAGES,
) -> Path:
    """A run of 40 s that stalls from second 20 to 24; ``evil`` is what its target said."""
    options = {"name": "stalling", "threshold": ("users.refused == 0", "connections.lost == 0")}
    campaign = with_options(load_campaign("quickstart"), options)
    campaign = msgspec.structs.replace(campaign, title=title or campaign.title)
    population = populate(campaign)
    totals = Totals()
    expected = connection_model.expected([(group.client, True, group.users) for group in population.groups])
    counts = {"client": client_count(expected["client_to_cas"] // 2), "kernel": dict(expected) | {"store": 9}}
    record = RunRecord(
        campaign=library.to_table(campaign),
        client_types={group.client.name: library.to_table(group.client) for group in population.groups},
        message_profiles={group.profile.name: library.to_table(group.profile) for group in population.groups},
        seed=1,
        target=f"mock{evil}",
        command=f"loadgen run stalling --out '{evil}'",
        started="2026-01-02T03:04:05.678+00:00",
        started_ns=ORIGIN,
        phases=[Phase("ramp", 0.0, 2.0), Phase("measure", 2.0, None)],
    )
    with RunStore.create(out, "stalling", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), ORIGIN) as store:
        store.write_run(record)
        if killed_before == "intervals":
            return store.folder
        for second in range(SECONDS):
            snapshot = _second(second, evil)
            totals.add(snapshot)
            store.write_interval("measure", [snapshot])
            store.write_connections(ORIGIN + second * S, "", expected, counts)
        store.write_event(Event(ORIGIN + 3 * S, "paused", "by hand"))
        ending = Ending(interrupted=bool(killed_before))
        summary = summarise(
            campaign,
            population,
            totals,
            measured_s=38.0,
            peak=Census(expected, counts),
            limits=(_limit(evil),),
            outages=outages,
            ending=ending,
            origin_ns=ORIGIN,
        )
        store.write_summary(summary)
        if not killed_before:
            record.ended, record.exit_code = "2026-01-02T03:04:45.678+00:00", summary.exit_code
            store.write_run(record)
        return store.folder


def _second(second: int, evil: str) -> "object":
    start = ORIGIN + second * S
    recorder = Recorder(0, start)
    recorder.measure_between(0, 10**18)
    for operation in OPERATIONS:
        recorder.plan(operation, 10)
        for number in range(10):
            due = start + number * 100 * MS
            began = max(due, ORIGIN + 24 * S) if 20 <= second < 24 else due
            recorder.record(Sample(operation, due, began, began + (number + 1) * MS))
    for layer in LAYERS:
        recorder.layer(layer, start, start + 3 * MS)
    recorder.record(Sample("send_message", start, start, start + S, "http_refused"), f"503 {evil}")
    recorder.skip("read_message", 2)
    recorder.event(start, "connection_lost", f"cut {evil}", user=3)
    recorder.event(start, "log_on_failed", "no", user=3, limit="ports|request_queue")
    recorder.lag("send_message", start, start + 5 * MS)
    recorder.traffic("outlook2007-online-anywhere", "light", "sending", 5_000)
    gauges = Gauges(users_logged_on=100, virtual_connections={"mail": 100}, busy=0.3)
    return recorder.snapshot(start + S, gauges)


def _limit(evil: str) -> LimitHit:
    return LimitHit(
        name="ports",
        server=f"CAS1{evil}",
        in_use=300.0,
        of=300.0,
        hits=7,
        users_logged_on=40,
        first_error=evil,
    )


@pytest.fixture
def a_run(tmp_path) -> Callable[..., Path]:
    """Writes a run below the test's own folder."""
    return lambda **options: write_run(tmp_path, **options)
