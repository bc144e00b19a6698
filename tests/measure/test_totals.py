import pytest

from loadgen.measure.recorder import Gauges, Recorder, Snapshot, Traffic
from loadgen.measure.sample import Sample
from loadgen.measure.totals import BusyWindow, Totals

S = 1_000_000_000


def snapshot(shard: int, second: int, **gauges: object) -> Snapshot:
    return Snapshot(shard=shard, started_ns=second * S, ended_ns=(second + 1) * S, gauges=Gauges(**gauges))


def test_gauges_are_the_latest_of_each_shard_and_peaks_are_kept():
    totals = Totals()
    totals.add(
        snapshot(
            0,
            0,
            users_logged_on=50,
            users_refused_total=1,
            virtual_connections={"mail": 50, "directory": 30},
            descriptors=80,
            descriptors_limit=100,
            ports_use=0.5,
            resident_octets=700,
        )
    )
    totals.add(
        snapshot(1, 0, users_logged_on=40, connections_lost_total=2, users_lost_total=3, resident_octets=300)
    )
    totals.add(snapshot(0, 1, users_logged_on=20, users_refused_total=4, virtual_connections={"mail": 20}))
    assert (totals.users_logged_on, totals.users_logged_on_peak) == (60, 90)
    assert (totals.users_refused, totals.users_lost, totals.connections_lost) == (4, 3, 2)
    assert totals.virtual_connections == 20
    assert (totals.descriptors_use_peak, totals.ports_use_peak, totals.resident_octets_peak) == (
        0.8,
        0.5,
        1000,
    )


def test_traffic_and_dropped_events_add_up():
    totals = Totals()
    for octets in (5, 6):
        each = snapshot(0, 0)
        each.traffic = [Traffic("o7", "light", "idle", octets, 1.5)]
        each.events_dropped = 2
        totals.add(each)
    assert totals.traffic == {("o7", "light", "idle"): (11, 3.0)}
    assert totals.events_dropped == 4


def test_tags_can_be_merged():
    record = Recorder(0, 0)
    record.measure_between(0, S)
    record.record(Sample("read_message", 0, 0, 5_000))
    record.record(Sample("delete_message", 0, 0, 9_000))
    totals = Totals()
    totals.add(record.snapshot(S))
    merged = totals.merged(("read_message.response", "delete_message.response", "log_on.response"))
    assert (merged.count, merged.max_us) == (2, 9)
    assert totals.histogram("log_on.response").count == 0


def test_a_loop_is_judged_over_ten_seconds_not_by_one():
    totals = Totals()
    for second in range(9):
        totals.add(snapshot(0, second, busy=1.0))
    assert totals.busy_peak == 0
    totals.add(snapshot(0, 9, busy=0.5))
    assert totals.busy_peak == pytest.approx(0.95)
    totals.add(snapshot(1, 9, busy=1.0))
    for second in range(10, 40):
        totals.add(snapshot(0, second, busy=0.2))
    assert totals.busy_peak == pytest.approx(0.95)


def test_the_window_slides_over_intervals_of_any_length():
    window = BusyWindow()
    assert window.add(0, 6 * S, 0.0) == 0
    assert window.add(6 * S, 9 * S, 1.0) == 0
    assert window.add(9 * S, 14 * S, 0.5) == pytest.approx((3 + 2.5) / 14)
    assert window.add(14 * S, 16 * S, 1.0) == pytest.approx((3 + 2.5 + 2) / 10)
    assert window.add(16 * S, 36 * S, 0.1) == pytest.approx(0.1)
