import msgspec
import pytest

from loadgen.errors import LoadgenError, PeerError
from loadgen.measure.histogram import Histogram
from loadgen.measure.recorder import (
    EVENTS_PER_INTERVAL,
    EXAMPLE_LENGTH,
    Arrived,
    Counts,
    Event,
    Failure,
    Gauges,
    Recorder,
    Snapshot,
    Submitted,
    Traffic,
)
from loadgen.measure.sample import OK, OUTCOMES, Sample
from loadgen.measure.totals import Totals

MS = 1_000_000
S = 1_000 * MS


def recorder() -> Recorder:
    record = Recorder(shard=3, now_ns=0)
    record.measure_between(0, 100 * S)
    return record


def sample(
    due_ms: int, service_ms: int, outcome: str = OK, operation: str = "send_message", wait_ms: int = 0
) -> Sample:
    started = (due_ms + wait_ms) * MS
    return Sample(operation, due_ms * MS, started, started + service_ms * MS, outcome)


def value_us(snapshot: Snapshot, tag: str) -> int:
    return Histogram.decode(snapshot.histograms[tag].payload).max_us


def subclasses(kind: type[LoadgenError]) -> set[type[LoadgenError]]:
    return {kind}.union(*(subclasses(each) for each in kind.__subclasses__()))


def test_every_peers_error_has_an_outcome_of_the_closed_list():
    assert {kind.outcome for kind in subclasses(PeerError)} <= set(OUTCOMES)


def test_response_counts_from_the_due_time_and_service_from_the_start():
    record = recorder()
    record.record(sample(10, 20, wait_ms=30))
    snapshot = record.snapshot(S)
    assert value_us(snapshot, "send_message.response") == pytest.approx(50_000, rel=1e-3)
    assert value_us(snapshot, "send_message.service") == pytest.approx(20_000, rel=1e-3)
    assert snapshot.counts == {"send_message": Counts(done=1)}


def test_failures_are_counted_by_outcome_with_the_first_text_and_not_timed():
    record = recorder()
    record.record(sample(1, 5, "timeout"), "a" * 1000)
    record.record(sample(9, 5, "timeout"), "second")
    record.record(sample(2, 1, "timeout"), "third")
    record.record(sample(3, 1, "rpc_fault", "log_off"), "fault")
    snapshot = record.snapshot(S)
    assert snapshot.failures == [
        Failure("send_message", "timeout", 3, 6 * MS, 14 * MS, "a" * EXAMPLE_LENGTH),
        Failure("log_off", "rpc_fault", 1, 4 * MS, 4 * MS, "fault"),
    ]
    assert snapshot.counts == {"send_message": Counts(failed=3), "log_off": Counts(failed=1)}
    assert snapshot.histograms == {}


@pytest.mark.parametrize(("due_s", "timed"), [(9, False), (10, True), (19, True), (20, False)])
def test_only_what_is_due_in_the_measured_phase_is_timed(due_s, timed):
    record = Recorder(0, 0)
    record.measure_between(10 * S, 20 * S)
    record.record(sample(due_s * 1000, 15_000))
    record.lag("send_message", due_s * S, due_s * S + MS)
    snapshot = record.snapshot(60 * S)
    assert snapshot.counts["send_message"].done == 1
    tags = {"send_message.response", "send_message.service", "send_message.lag"}
    assert set(snapshot.histograms) == (tags if timed else set())


def test_logging_on_and_off_is_timed_whenever_it_happens():
    record = Recorder(0, 0)
    for operation in ("log_on", "log_off", "read_message"):
        record.record(sample(5, 1, operation=operation))
    assert set(record.snapshot(S).histograms) == {
        "log_on.response",
        "log_on.service",
        "log_off.response",
        "log_off.service",
    }


def test_lag_and_layers_have_tags_of_their_own():
    record = recorder()
    record.lag("read_message", 2 * MS, 5 * MS)
    record.layer("connect_tcp", 0, 7 * MS)
    snapshot = record.snapshot(S)
    assert value_us(snapshot, "read_message.lag") == pytest.approx(3_000, rel=1e-3)
    assert value_us(snapshot, "connect_tcp.service") == pytest.approx(7_000, rel=1e-3)
    with pytest.raises(KeyError):
        record.layer("magic", 0, 1)


def test_an_unknown_operation_is_a_bug_of_ours():
    for call in (recorder().plan, recorder().skip):
        with pytest.raises(KeyError):
            call("juggle")


def full(record: Recorder) -> Recorder:
    record.plan("send_message", 3)
    record.plan("send_message")
    record.skip("read_message", 2)
    record.record(sample(0, -1, wait_ms=3))
    record.traffic("o7", "light", "sending", 100)
    record.traffic("o7", "light", "sending", 50)
    record.traffic("o7", "light", "idle", 7, 2.5)
    record.submitted("key", 4, 9)
    record.arrived("key", 17, 11)
    record.event(5, "reconnect", "x" * 1000, 17)
    return record


def test_a_snapshot_holds_the_interval_and_survives_the_way():
    snapshot = full(recorder()).snapshot(S, Gauges(users_logged_on=5, virtual_connections={"mail": 5}))
    assert (snapshot.shard, snapshot.started_ns, snapshot.ended_ns, snapshot.clamped) == (3, 0, S, 1)
    assert snapshot.counts == {"send_message": Counts(planned=4, done=1), "read_message": Counts(skipped=2)}
    assert snapshot.traffic == [
        Traffic("o7", "light", "sending", 150),
        Traffic("o7", "light", "idle", 7, 2.5),
    ]
    assert snapshot.submitted == [Submitted("key", 4, 9)]
    assert snapshot.arrived == [Arrived("key", 17, 11)]
    assert snapshot.events == [Event(5, "reconnect", "x" * EXAMPLE_LENGTH, 17)]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Snapshot) == snapshot


def test_the_next_interval_starts_empty_and_where_the_last_one_ended():
    record = full(recorder())
    record.snapshot(S)
    for _ in range(2):  # both sets of books in turn
        again = record.snapshot(2 * S)
        assert again == Snapshot(shard=3, started_ns=again.started_ns, ended_ns=2 * S)


def test_samples_recorded_while_the_old_interval_is_encoded_belong_to_the_new_one():
    record = full(recorder())
    record.record(sample(0, 5, operation="read_message"))
    cut = record.cut(S)
    assert cut.encode_next()
    record.record(sample(1, 1, operation="delete_message"))
    second_cut = record.cut(2 * S)
    first, second = cut.finish(), second_cut.finish()
    assert not cut.encode_next()
    assert set(first.counts) == {"send_message", "read_message"}
    assert len(first.histograms) == 4
    assert second.counts == {"delete_message": Counts(done=1)}
    assert len(second.histograms) == 2
    assert (first.ended_ns, second.started_ns) == (S, S)


def test_events_are_bounded():
    record = recorder()
    for number in range(EVENTS_PER_INTERVAL + 5):
        record.event(number, "reconnect", "")
    snapshot = record.snapshot(S)
    assert (len(snapshot.events), snapshot.events_dropped) == (EVENTS_PER_INTERVAL, 5)


def test_memory_does_not_grow_with_samples():
    record = recorder()
    for number in range(20_000):
        record.record(sample(number % 50, number % 40, OK if number % 3 else "timeout"), str(number))
    books = record._books
    assert len(books.histograms) == 2
    assert len(books.failures) == 1


def test_snapshots_in_any_order_and_cut_anywhere_add_up_to_the_same():
    whole, parts, snapshots = recorder(), recorder(), []
    for number in range(100):
        for record in (whole, parts):
            each = sample(number, number % 7, ("timeout", OK, OK)[number % 3])
            record.record(each, str(number))
            record.plan("send_message")
        if number % 9 == 0:
            snapshots.append(parts.snapshot((number + 1) * MS))
    snapshots.append(parts.snapshot(S))
    one, many = Totals(), Totals()
    one.add(whole.snapshot(S))
    for snapshot in reversed(snapshots):
        many.add(snapshot)
    assert one.counts == many.counts
    assert one.failures == many.failures
    assert one.failures["send_message", "timeout"].example == "0"
    assert one.clamped == many.clamped
    for tag, histogram in one.histograms.items():
        assert histogram.encode() == many.histograms[tag].encode()
