import json
from datetime import UTC, datetime

import pytest

from loadgen.engine.limit_watch import LimitWatch
from loadgen.engine.live_shard import ShardReport
from loadgen.engine.phases import HOLD, LOG_OFF, MEASURE
from loadgen.engine.tally import Tally
from loadgen.measure.connections import Census
from loadgen.measure.limits import LimitReading
from loadgen.measure.recorder import Gauges, Recorder
from loadgen.measure.sample import Sample
from loadgen.measure.store import ResultsError, RunRecord, RunStore
from loadgen.measure.threshold import Ending
from loadgen.workload.campaign import Campaign
from loadgen.workload.duration import Duration

S = 1_000_000_000
MS = 1_000_000
CAMPAIGN = Campaign(
    name="test",
    duration=Duration(100),
    speed=1.0,
    abort_on=("operations.send_message.response_ms.p99 < 500",),
)


@pytest.fixture
def store(tmp_path):
    with RunStore.create(tmp_path, "test", datetime(2026, 1, 1, tzinfo=UTC), 0) as store:
        yield store


@pytest.fixture
def tally(store, clock, population_of):
    record = RunRecord(campaign={}, seed=1, target="mock", started="2026-01-01T00:00:00+00:00")
    return Tally(CAMPAIGN, population_of(10), store, record, clock)


def report(clock, *, shard=0, samples=(), submitted=(), arrived=(), **gauges):
    """What a shard says that had these samples, (operation, response in ms) each, in the last second."""
    recorder = Recorder(shard, clock() - S)
    recorder.measure_between(0, 10**18)
    for operation, response_ms in samples:
        recorder.record(Sample(operation, clock() - response_ms * MS, clock() - MS, clock()))
    for message in submitted:
        recorder.submitted(*message)
    for copy in arrived:
        recorder.arrived(*copy)
    snapshot = recorder.snapshot(clock(), Gauges(**gauges))
    return ShardReport(snapshot=snapshot, states=[], pending=0, left_to_do=0)


def test_progress_is_that_of_the_last_interval_and_counts_are_of_all(tally, clock):
    clock.now_ns = 10 * S
    tally.enter(MEASURE, 100.0)
    clock.stall(1)
    tally.take([report(clock, samples=[("read_message", 10)] * 20, users_logged_on=5)])
    clock.stall(2)
    tally.take(
        [
            report(
                clock,
                samples=[("read_message", 100)] * 99,
                users_logged_on=5,
                virtual_connections={"mail": 5},
            ),
            report(
                clock,
                shard=1,
                samples=[("send_message", 300)],
                users_logged_on=4,
                virtual_connections={"mail": 4},
            ),
        ]
    )
    progress = tally.progress
    assert (progress.phase, progress.phase_s, progress.phase_length_s) == (MEASURE, 3, 100)
    assert (progress.users, progress.users_planned, progress.connections) == (9, 10, 18)
    assert progress.operations_per_s == pytest.approx(50)
    assert progress.p50_ms == pytest.approx(100, rel=0.001)
    assert (progress.done, progress.failed) == (120, 0)


def test_deliveries_meet_across_shards(tally, clock, store):
    tally.enter(MEASURE, 100.0)
    tally.measure_between(0, 100 * S)
    clock.stall(1)
    tally.take(
        [report(clock, submitted=[("k", 2, 500 * MS)]), report(clock, shard=1, arrived=[("k", 3, 700 * MS)])]
    )
    assert tally.deliveries_outstanding == 1
    clock.stall(1)
    tally.take([report(clock, arrived=[("k", 4, 1_500 * MS)])])
    assert tally.deliveries_outstanding == 0
    summary = tally.finish(Ending(), "2026-01-01T00:02:00+00:00")
    deliver = summary.operations["deliver_message"]
    assert (deliver.planned, deliver.done) == (2, 2)
    assert (deliver.response_ms.p50, deliver.response_ms.max) == pytest.approx((200, 1000), rel=0.001)
    assert (
        json.loads((store.folder / "summary.json").read_text())["operations"]["deliver_message"]["done"] == 2
    )


def test_what_never_came_is_counted_at_the_end(tally, clock):
    tally.enter(MEASURE, 100.0)
    clock.stall(1)
    tally.take([report(clock, submitted=[("k", 4, 500 * MS)])])
    summary = tally.finish(Ending(), "")
    assert summary.operations["deliver_message"].failed == 4
    assert summary.failures["not_delivered"] == 4


def test_the_files_are_there_after_the_first_interval_and_say_interrupted(tally, clock, store):
    tally.enter(MEASURE, 100.0)
    clock.stall(1)
    tally.take([report(clock, samples=[("send_message", 10)])])
    summary = json.loads((store.folder / "summary.json").read_text())
    assert (summary["verdict"], summary["operations"]["send_message"]["done"]) == ("INVALID", 1)
    assert summary["reasons"][0].startswith("interrupted")
    run = json.loads((store.folder / "run.json").read_text())
    assert [phase["name"] for phase in run["phases"]] == [MEASURE]
    assert len((store.folder / "timeseries.csv").read_text().splitlines()) == 2


def test_phases_follow_each_other(tally, clock, store):
    for phase in (MEASURE, HOLD):
        tally.enter(phase, 10.0)
        clock.stall(10)
    tally.finish(Ending(), "2026-01-01T00:00:20+00:00")
    run = json.loads((store.folder / "run.json").read_text())
    assert [(each["name"], each["started_s"], each["ended_s"]) for each in run["phases"]] == [
        (MEASURE, 0, 10),
        (HOLD, 10, 20),
    ]
    assert run["ended"] == "2026-01-01T00:00:20+00:00"


def test_an_interval_may_break_a_threshold_and_only_the_measured_ones_count(tally, clock):
    tally.enter("ramp", 10.0)
    clock.stall(1)
    tally.take([report(clock, samples=[("send_message", 900)])])
    assert tally.broken_threshold() == ""
    tally.enter(MEASURE, 10.0)
    clock.stall(1)
    tally.take([report(clock, samples=[("read_message", 900)])])
    assert tally.broken_threshold() == ""
    clock.stall(1)
    tally.take([report(clock, samples=[("send_message", 499)])])
    assert tally.broken_threshold() == ""
    clock.stall(1)
    tally.take([report(clock, samples=[("send_message", 900)])])
    assert tally.broken_threshold().startswith("operations.send_message.response_ms.p99 < 500 does not hold")


def test_who_watches_sees_counts_that_belong_together(tally):
    """While the kernel rests the clients count alone."""

    def census(count, *parties):
        return Census({"client_to_cas": count}, {party: {"client_to_cas": count} for party in parties})

    shown = []
    for count, *parties in ((2, "client"), (4, "client", "kernel"), (6, "client"), (8, "client", "kernel")):
        tally.connections("", census(count, *parties))
        shown.append(tally.progress.columns["client_to_cas"])
    assert shown == [(2, 2), (4, 4), (4, 4), (8, 8)]


def test_barriers_are_in_the_summary_and_other_counts_are_not(tally, clock):
    tally.enter(MEASURE, 10.0)
    tally.connections("", Census({"client_to_cas": 4}))
    tally.connections("peak", Census({"client_to_cas": 6}, {"client": {"client_to_cas": 6}}))
    summary = tally.finish(Ending(), "")
    assert summary.connections.peak["client_to_cas"].client == 6
    assert summary.connections.steady == {}


def test_a_lost_shard_keeps_its_counts_and_loses_its_users(tally, clock, store):
    tally.enter(MEASURE, 10.0)
    clock.stall(1)
    tally.take([report(clock, shard=1, samples=[("send_message", 10)], users_logged_on=5)])
    tally.lose(1, 5, "worker 1 died")
    summary = tally.finish(Ending(broken=("worker 1 died",)), "")
    assert (summary.users.lost, summary.users.logged_on_peak) == (5, 5)
    assert summary.operations["send_message"].done == 1
    assert (summary.verdict, summary.exit_code) == ("INVALID", 98)
    events = [json.loads(line) for line in (store.folder / "events.jsonl").read_text().splitlines()]
    assert [event["kind"] for event in events] == ["phase", "worker_lost"]


def test_a_disk_that_is_full_at_the_end_is_a_reason(tally, clock, store, monkeypatch):
    def fail(*_):
        raise ResultsError("results/x: No space left on device")

    tally.enter(MEASURE, 10.0)
    monkeypatch.setattr(store, "write_interval", fail)
    summary = tally.finish(Ending(broken=("results/x: No space left on device",)), "")
    assert summary.reasons[0] == "results/x: No space left on device"
    assert (summary.verdict, summary.exit_code) == ("INVALID", 98)


@pytest.mark.parametrize(("others", "own", "logged_on"), [(4, 3, "7 users"), (0, 1, "1 user")])
async def test_refusals_are_named_and_counted_by_limit(store, clock, population_of, others, own, logged_on):
    readings = []

    async def ask():
        return list(readings)

    limits = LimitWatch(ask)
    await limits.begin()
    record = RunRecord(campaign={}, seed=1, target="mock", started="2026-01-01T00:00:00+00:00")
    tally = Tally(CAMPAIGN, population_of(10), store, record, clock, limits)
    tally.enter(MEASURE, 100.0)
    tally.take([report(clock, shard=1, users_logged_on=others)])
    readings.append(LimitReading("ports", "CAS1", 60, 60, 2))
    await limits.look()
    recorder = Recorder(0, clock())
    recorder.event(clock(), "log_on_failed", "HTTP 503", 7, "ports")
    recorder.refused(clock(), "HTTP 503", ("ports",), 7, own)
    recorder.refused(clock(), "HTTP 503", ("ports",), 8, own)
    gauges = Gauges(users_refused_total=3, users_refused_by={"ports": 2, "": 1})
    snapshot = recorder.snapshot(clock(), gauges)
    tally.take([ShardReport(snapshot=snapshot, states=[], pending=0, left_to_do=0)])
    summary = tally.finish(Ending(), "2026-01-01T00:01:00+00:00")
    by_limit = {name: users for name, users in summary.users.refused_by_limit.items() if users}
    assert by_limit == {"ports": 2, "unknown": 1}
    [hit] = summary.limits
    assert (hit.name, hit.server, hit.hits, hit.users_logged_on) == ("ports", "CAS1", 2, others + own)
    assert "2 users refused: ports of CAS1 (60 of 60 in use)" in summary.reasons
    events = [json.loads(line) for line in (store.folder / "events.jsonl").read_text().splitlines()]
    assert [event["limit"] for event in events if event["kind"] == "log_on_failed"] == ["ports"]
    [note] = [each for each in summary.warnings if "ports" in each]
    assert f"Limit ports of CAS1 (60 of 60 in use) was hit: 2 times, first with {logged_on} logged on" in note


def test_a_window_that_is_broken_ends_the_run_and_the_worst_is_in_the_summary(store, clock, population_of):
    record = RunRecord(campaign={}, seed=1, target="mock", started="2026-01-01T00:00:00+00:00")
    over = "operations.send_message.response_ms.max < 500 over 3s"
    campaign = Campaign(name="test", duration=Duration(100), threshold=(over,), abort_on=(over,))
    tally = Tally(campaign, population_of(10), store, record, clock)
    tally.enter(MEASURE, 100.0)
    tally.measure_between(clock(), clock() + 100 * S)
    broken = []
    for response_ms in (100, 600, 100, 100):
        clock.stall(1)
        tally.take([report(clock, samples=[("send_message", response_ms)])])
        broken.append(tally.broken_threshold())
    assert broken[:2] == ["", ""]
    assert broken[2].startswith(f"{over} does not hold: it is 6")
    assert broken[2].endswith("from 0 s to 3 s of the run")
    (result,) = tally.finish(Ending(), "2026-01-01T00:01:00+00:00").thresholds
    assert (result.text, result.held, result.worst_from_s, result.worst_until_s) == (over, False, 0.0, 3.0)


def test_outages_end_before_everybody_logs_off(tally, clock):
    tally.enter(MEASURE, 10.0)
    lost = {"connections_lost_total": 8}
    for gauges in ({"users_admitted": 4}, {"users_admitted": 1, **lost}, {"users_admitted": 4, **lost}):
        clock.stall(1)
        tally.take([report(clock, **gauges)])
    tally.enter(LOG_OFF, None)
    clock.stall(1)
    tally.take([report(clock, users_admitted=0, connections_lost_total=20)])
    (outage,) = tally.finish(Ending(), "").outages
    assert (outage.lost, outage.connections_lost, outage.recovered_after_s) == (3, 8, 2)
