import pytest

from loadgen.measure.counters import CounterSample
from loadgen.report.limit_check import LimitCheck
from loadgen.workload.duration import Duration
from loadgen.workload.limit_set import Limit, LimitSet

COUNTER = r"\MSExchangeIS\RPC Averaged Latency"


def limit(agg="mean", op="<", value=25.0, **more):
    return Limit(counter=more.pop("counter", COUNTER), agg=agg, op=op, value=value, source="a book", **more)


def check(one, *samples, measured=None):
    """The results over samples, each (time, value), or (time, value, server, counter)."""
    found = LimitCheck(LimitSet(limits=(one,)))
    if measured:
        found.measure_between(*measured)
    for time_s, value, *rest in samples:
        server, counter = (rest + ["MBX1", COUNTER][len(rest) :]) if rest else ("MBX1", COUNTER)
        found.add(CounterSample(time_s, server, counter, value))
    return found.results()


@pytest.mark.parametrize(
    ("agg", "measured"),
    [("mean", 20), ("max", 40), ("min", 5), ("delta", 60), ("rate", 3)],
)
def test_an_aggregate_of_the_whole_time(agg, measured):
    """The counter starts anew once: 10 to 40, then 5, then 25."""
    (result,) = check(limit(agg), (0, 10), (10, 40), (15, 5), (20, 25))
    grown = {"delta": 30 + 5 + 20, "rate": (30 + 5 + 20) / 20}
    assert result.measured == grown.get(agg, measured)
    assert (result.server, result.counter) == ("MBX1", COUNTER)


@pytest.mark.parametrize(
    ("op", "held"), [("<", False), ("<=", True), (">", False), (">=", True), ("==", True), ("!=", False)]
)
def test_it_holds_or_says_what_is_wrong(op, held):
    (result,) = check(limit(op=op, value=30.0, unit="ms"), (0, 20), (5, 40))
    assert result.held is held
    if not held:
        assert result.why == rf"MBX1: mean of {COUNTER} is 30 ms from 0 s to 5 s, not {op} 30 ms"


def test_a_limit_for_a_time_holds_in_every_window_and_tells_the_worst():
    samples = [(time_s, 100 if 20 < time_s <= 80 else 0) for time_s in range(0, 121, 5)]
    (result,) = check(limit("mean", "<=", 90, window=Duration(60)), *samples)
    assert (result.measured, result.held) == (100, False)
    assert (result.from_s, result.until_s) == (25, 80)
    assert "in 1m is 100 from 25 s to 80 s" in result.why


def test_not_beyond_for_some_time_on_end_is_the_least_of_each_window():
    alarming = limit("min", "<=", 70, window=Duration(60))
    broken = [(time_s, 90) for time_s in range(0, 121, 5)]
    interrupted = [(time_s, 90 if time_s % 50 else 60) for time_s in range(0, 121, 5)]
    assert check(alarming, *broken)[0].held is False
    assert check(alarming, *interrupted)[0].held is True


@pytest.mark.parametrize(("agg", "value"), [("max", 9), ("delta", 9), ("rate", 0.9)])
def test_other_aggregates_over_windows(agg, value):
    """Sampled each 5 s: a window of 15 s holds three samples. The counter starts anew once."""
    samples = [(0, 0), (5, 1), (10, 2), (15, 3), (20, 3), (25, 1), (30, 9)]
    (result,) = check(limit(agg, "<", 1, window=Duration(15)), *samples)
    assert result.measured == pytest.approx(value)
    assert result.held is (agg == "rate")


def test_what_is_shorter_than_the_window_is_not_measured():
    (result,) = check(limit(window=Duration(60)), (0, 1), (10, 1))
    assert (result.held, result.why) == (None, "not measured: there is less than 1m of it")
    (result,) = check(limit("rate"), (0, 1))
    assert result.held is None


def test_a_counter_that_nobody_provides_is_not_measured_and_does_not_pass():
    (result,) = check(limit(), (0, 1, "MBX1", r"\Other\Counter"))
    assert (result.held, result.measured, result.server) == (None, None, "")
    assert "nobody provides" in result.why


def test_of_several_instances_the_worst_counts_and_each_server_counts_alone():
    counter = r"\MSExchangeIS Client({})\RPC Average Latency"
    results = check(
        limit("mean", "<", 50, counter=counter.format("*")),
        (0, 10, "MBX1", counter.format("mail")),
        (0, 70, "MBX1", counter.format("admin")),
        (0, 999, "MBX1", counter.format("_Total")),
        (0, 20, "MBX2", counter.format("mail")),
    )
    assert [(each.server, each.counter, each.held) for each in results] == [
        ("MBX1", counter.format("admin"), False),
        ("MBX2", counter.format("mail"), True),
    ]


def test_a_limit_on_the_measured_phase_leaves_the_ramp_out():
    samples = [(0, 100), (10, 20), (20, 100)]
    assert check(limit(during="measured"), *samples, measured=(5, 15))[0].measured == 20
    assert check(limit(during="measured"), *samples)[0].held is None
    found = LimitCheck(LimitSet(limits=(limit(during="measured"),)))
    for time_s, value in samples:
        found.add_imported(CounterSample(time_s, "", COUNTER, value))
    assert found.results()[0].measured == pytest.approx(220 / 3)


def test_what_nobody_wants_need_not_be_kept():
    found = LimitCheck(LimitSet(limits=(limit(),)))
    assert found.wants(COUNTER.upper())
    assert not found.wants(r"\Other\Counter")
    assert not found.wants("no path")


def test_a_plateau_is_judged_by_what_comes_in_it_alone():
    whole = LimitCheck(LimitSet(limits=(limit(), limit("max", during="measured"))))
    whole.add(CounterSample(0, "MBX1", COUNTER, 90))
    first = whole.from_now_on()
    whole.add(CounterSample(5, "MBX1", COUNTER, 40))
    second = whole.from_now_on()
    for time_s in (10, 15):
        whole.add(CounterSample(time_s, "MBX1", COUNTER, 20))
    assert [[each.measured for each in check.results()] for check in (whole, first, second)] == [
        [42.5, None],
        [40, 40],
        [20, 20],
    ]
