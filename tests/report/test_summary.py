from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadgen.measure import threshold
from loadgen.measure.connections import Census, client_count
from loadgen.measure.counters import CounterSample
from loadgen.measure.recorder import Gauges, Recorder, Snapshot
from loadgen.measure.sample import LAYERS, OPERATIONS, Sample
from loadgen.measure.threshold import Ending
from loadgen.measure.totals import Totals
from loadgen.report.limit_check import LimitCheck
from loadgen.report.summary import Summary, summarise
from loadgen.workload import connection_model
from loadgen.workload.campaign import Campaign, Population, load_campaign, populate, with_options
from loadgen.workload.limit_set import Limit, LimitSet

MS, S = 1_000_000, 1_000_000_000
TYPE = "outlook2007-online-anywhere"


def quickstart(**options: object) -> tuple[Campaign, Population]:
    campaign = with_options(load_campaign(str(Path(__file__).with_name("quickstart.toml"))), options)
    return campaign, populate(campaign)


def measured(*, lag_ms: int = 1) -> Totals:
    record = Recorder(0, 0)
    record.measure_between(0, 45 * S)
    for operation in OPERATIONS:
        record.plan(operation, 100)
        for number in range(100):
            record.record(Sample(operation, 0, number * MS // 2, (number + 1) * MS))
            record.lag(operation, 0, (500 if operation in {"log_on", "log_off"} else lag_ms) * MS)
    for layer in LAYERS:
        record.layer(layer, 0, 2 * MS)
    record.traffic(TYPE, "light", "sending", 310_000 * 30)
    record.traffic(TYPE, "light", "receiving", 1_230_500 * 30)
    record.traffic(TYPE, "light", "idle", 6_000, 120.0)
    record.traffic(TYPE, "light", "startup", 10**9)
    totals = Totals()
    gauges = Gauges(
        users_logged_on=100,
        cpu_s_total=12.3456,
        descriptors=500,
        descriptors_limit=20_000,
        resident_octets=4_000_000,
    )
    totals.add(record.snapshot(45 * S, gauges))
    return totals


def census(population: Population, *, starting: bool, **changes: int) -> Census:
    users = [(group.client, starting, group.users) for group in population.groups]
    expected = connection_model.expected(users)
    kernel = dict(expected) | changes
    client = client_count(expected["client_to_cas"] // 2)
    return Census(expected, {"client": client, "kernel": kernel, "mock": dict(expected)})


def good(limit_check: LimitCheck | None = None, **options: Any) -> Summary:
    campaign, population = quickstart(**options)
    peak, steady = census(population, starting=True), census(population, starting=False)
    return summarise(
        campaign, population, measured(), measured_s=45.0, peak=peak, steady=steady, limit_check=limit_check
    )


def test_a_good_run_passes():
    summary = good()
    assert (summary.verdict, summary.reasons, summary.exit_code) == ("PASS", (), 0)
    assert summary.campaign == "quickstart"
    users = summary.users
    assert (users.planned, users.logged_on_peak, users.refused, users.lost) == (100, 100, 0, 0)


def leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if not tree:
        return {path}
    return set().union(*(leaves(below, (*path, step)) for step, below in tree.items()))


def test_every_path_of_a_threshold_is_in_the_summary():
    document = msgspec.to_builtins(good())
    for path in leaves(threshold.PATHS):
        place = document
        for step in path:
            place = next(iter(place.values())) if step == "*" else place[step]
        assert place is None or isinstance(place, int | float), path


def test_the_summary_is_json_that_says_its_schema():
    document = msgspec.json.decode(msgspec.json.encode(good()))
    assert document["schema"] == 1
    assert list(document["operations"]) == list(OPERATIONS)
    assert document["connections"]["peak"]["store"] == {
        "expected": 200,
        "client": None,
        "kernel": 200,
        "mock": 200,
    }
    assert document["connections"]["as_loadgen"]["client_to_cas"] == 200
    assert document["failures"]["timeout"] == 0


def test_percentiles_are_in_milliseconds():
    operation = good().operations["send_message"]
    assert operation.response_ms.p50 == pytest.approx(50, rel=1e-3)
    assert operation.response_ms.p99 == pytest.approx(99, rel=1e-3)
    assert operation.response_ms.max == pytest.approx(100, rel=1e-3)
    assert operation.service_ms.max == pytest.approx(50.5, rel=1e-3)
    assert good().set_up["rpc_bind"].p50 == pytest.approx(2, rel=1e-3)


def test_traffic_is_per_user_and_simulated_day_beside_the_white_paper():
    line = good().traffic[TYPE]["light"]
    assert (line.users, line.sending, line.aggregate) == (30, 310.0, 1230.5)
    assert (line.white_paper_sending, line.white_paper_aggregate) == (310, 1230)


@pytest.mark.parametrize(
    ("held_s", "per_hour"), [(0.0, None), (3.0, None), (59.9, None), (60.0, 12.0), (3600.0, 0.2)]
)
def test_idle_traffic_is_told_by_the_hour_after_a_minute(held_s, per_hour):
    campaign, population = quickstart()
    totals = Totals()
    record = Recorder(0, 0)
    record.traffic(TYPE, "light", "idle", 6_000, 30 * held_s)
    totals.add(record.snapshot(S))
    lines = summarise(campaign, population, totals, measured_s=45.0).traffic[TYPE]
    assert lines["light"].idle_per_hour == per_hour
    assert lines["medium"].idle_per_hour is None


def test_half_a_day_counts_as_half_a_day():
    campaign, population = quickstart()
    summary = summarise(campaign, population, measured(), measured_s=22.5)
    assert summary.traffic[TYPE]["light"].sending == 620.0
    assert summarise(campaign, population, measured(), measured_s=0.0).traffic[TYPE]["light"].sending == 0


def test_groups_of_one_type_and_profile_are_one_line(tmp_path):
    (tmp_path / "mine.toml").write_text("extends = 'light'\nmessage_size = 20_000\n")
    groups = [
        {"users": users, "client": TYPE, "profile": profile}
        for users, profile in ((10, "light"), (20, "light"), (5, str(tmp_path / "mine.toml")))
    ]
    lines = good(group=groups).traffic[TYPE]
    assert {name: line.users for name, line in lines.items()} == {"light": 30, "mine": 5}
    assert lines["mine"].white_paper_sending is None


@pytest.mark.parametrize(
    ("peak", "steady", "reason"),
    [
        ({}, {"store": 1}, "connections at steady: store expected 200, kernel counted 1"),
        ({"directory": 3}, {}, "connections at peak: directory expected 176, kernel counted 3"),
    ],
)
def test_a_table_that_is_not_equal_fails(peak, steady, reason):
    campaign, population = quickstart()
    summary = summarise(
        campaign,
        population,
        measured(),
        measured_s=45.0,
        peak=census(population, starting=True, **peak),
        steady=census(population, starting=False, **steady),
    )
    assert (summary.verdict, summary.reasons) == ("FAIL", (reason,))


def test_a_mock_that_could_not_count_fails_and_a_kernel_that_could_not_is_a_warning():
    campaign, population = quickstart()
    peak, steady = census(population, starting=True), census(population, starting=False)
    for party, each in (("mock", peak), ("kernel", steady)):
        each.errors[party] = "no answer"
        each.counts[party] = dict.fromkeys(each.expected)
    summary = summarise(campaign, population, measured(), measured_s=45.0, peak=peak, steady=steady)
    assert summary.reasons == ("the mock did not count connections at peak: no answer",)
    assert summary.warnings[0].startswith("the kernel did not count connections at steady: no answer.")


def test_a_run_still_under_way_is_invalid_by_interruption():
    campaign, population = quickstart()
    summary = summarise(campaign, population, Totals(), measured_s=0.0, ending=Ending(interrupted=True))
    assert (summary.verdict, summary.exit_code) == ("INVALID", 130)
    assert summary.reasons[0] == "interrupted before the end"
    assert summary.connections.peak == {}
    assert summary.operations["send_message"].response_ms.p50 is None


def test_the_ramps_lag_is_not_judged():
    summary = good()
    assert summary.generator.lag_ms.max == pytest.approx(1, rel=1e-3)
    assert summary.generator.cpu_s == 12.346
    assert summary.generator.descriptors_use_peak == 0.025
    assert summary.generator.memory_per_user_kb == 40


def test_the_campaigns_bounds_and_thresholds_are_used():
    campaign, population = quickstart()
    late = summarise(campaign, population, measured(lag_ms=150), measured_s=45.0)
    assert (late.verdict, late.exit_code) == ("INVALID", 98)
    campaign, population = quickstart(
        invalid_lag="200ms", threshold=["operations.send_message.response_ms.p95 < 90"]
    )
    late = summarise(campaign, population, measured(lag_ms=150), measured_s=45.0)
    assert (late.verdict, late.exit_code) == ("FAIL", 99)
    assert late.reasons == ("operations.send_message.response_ms.p95 < 90 does not hold: it is 95.039",)


def test_failures_count_by_outcome_with_examples():
    campaign, population = quickstart()
    totals = measured()
    record = Recorder(0, 0)
    record.record(Sample("log_on", 0, 0, S, "unauthorized"), "HTTP 401")
    record.record(Sample("log_on", 0, 0, 3 * S, "unauthorized"), "HTTP 401")
    record.record(Sample("read_message", 0, 0, S, "unauthorized"), "HTTP 401 again")
    totals.add(record.snapshot(S))
    summary = summarise(campaign, population, totals, measured_s=45.0, origin_ns=S // 4)
    assert summary.failures["unauthorized"] == 3
    found = [(each.example, each.first_s, each.last_s) for each in summary.failure_examples]
    assert found == [("HTTP 401", 0.75, 2.75), ("HTTP 401 again", 0.75, 0.75)]


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({"clamped": 3}, "3 times were negative or above 10 min"),
        ({"events_dropped": 4}, "4 events were counted and not kept"),
    ],
)
def test_a_reader_is_warned(change, warning):
    campaign, population = quickstart()
    totals = measured()
    totals.add(Snapshot(shard=0, started_ns=0, ended_ns=1, **change))
    summary = summarise(campaign, population, totals, measured_s=45.0)
    assert any(warning in each for each in summary.warnings)


def test_a_good_run_warns_of_small_samples_alone():
    [warning] = good().warnings
    assert warning.startswith(
        f"p99.9 is the maximum for {len(OPERATIONS)} operations: fewer than 1,000 were done."
    )


def test_a_run_that_was_scaled_says_so():
    campaign, population = quickstart()
    summary = summarise(campaign, population, measured(), measured_s=45.0, users_wanted=5)
    assert summary.users.wanted == 5
    assert summary.warnings[0].startswith(f"Scaled to 5 of {population.users:,} users while it ran.")


def test_few_small_samples_are_named():
    campaign, population = quickstart()
    totals = Totals()
    record = Recorder(0, 0)
    record.record(Sample("log_on", 0, 0, S))
    totals.add(record.snapshot(S))
    [warning] = summarise(campaign, population, totals, measured_s=0.0).warnings
    assert warning.startswith("p99.9 is the maximum for log_on: ")


@pytest.mark.parametrize(
    ("measured_s", "part"), [(0.0, None), (11.25, "0.25"), (44.0, "0.98"), (44.99, None), (90.0, None)]
)
def test_a_part_of_a_day_is_no_day(measured_s, part):
    campaign, population = quickstart()
    found = summarise(campaign, population, Totals(), measured_s=measured_s).warnings
    assert [each.split()[6] for each in found] == ([part] if part else [])


def test_strange_mail_and_a_closed_shape_are_warned_of():
    campaign, population = quickstart(shape="closed")
    summary = summarise(campaign, population, measured(), measured_s=45.0, unexpected_deliveries=9)
    assert any(each.startswith("9 notifications came twice") for each in summary.warnings)
    assert any(each.startswith("The shape is closed") for each in summary.warnings)


@pytest.mark.parametrize(
    ("counters", "verdict", "reasons", "warnings"),
    [
        ((), "FAIL", ("limit_set own: none of its 2 counters was measured",), ()),
        ((r"\A\B",), "PASS", (), ("limit_set own: not measured are 1 of its 2 counters",)),
        ((r"\A\B", r"\A\C"), "PASS", (), ()),
    ],
)
def test_a_limit_set_that_nobody_measures_is_not_met(counters, verdict, reasons, warnings):
    limits = tuple(
        Limit(counter=counter, agg=agg, op="<", value=9.0, source="a book")
        for counter, agg in ((r"\A\B", "max"), (r"\A\C", "max"), (r"\A\C", "mean"))
    )
    check = LimitCheck(LimitSet(name="own", limits=limits))
    check.measure_between(0, 45)
    for counter in counters:
        check.add(CounterSample(1.0, "MBX1", counter, 1.0))
    summary = good(limit_check=check)
    said = [each for each in summary.warnings if each.startswith("limit_set")]
    assert summary.verdict == verdict
    for found, begun in ((summary.reasons, reasons), (said, warnings)):
        assert len(found) == len(begun)
        assert all(map(str.startswith, found, begun))
