import pytest

from loadgen.measure.recorder import Failure, Gauges, Snapshot
from loadgen.measure.threshold import Worst, parse
from loadgen.measure.totals import Totals
from loadgen.measure.window import MOST_PANES, Windows

S = 1_000_000_000


class Run:
    """Intervals one after the other, from second 0; the measured phase is from ``measured`` on."""

    def __init__(self, *thresholds, measured=(0, 1000)):
        self.windows = Windows([parse(text) for text in thresholds], origin_ns=0)
        self.totals = Totals()
        self.now_ns = 0
        self.windows.measure_between(measured[0] * S, measured[1] * S, self.totals)

    def interval(self, *response_ms, seconds=1.0, done=0, timeouts=0, lost=0, operation="send_message"):
        interval = Totals()
        for value in response_ms:
            interval.histogram(f"{operation}.response").record_ns(round(value * 1_000_000))
        interval.counts["send_message"].done = done
        if timeouts:
            interval.failures["send_message", "timeout"] = Failure(
                "send_message", "timeout", timeouts, 0, 0, ""
            )
        self.totals.add(
            Snapshot(shard=0, started_ns=0, ended_ns=0, gauges=Gauges(connections_lost_total=lost))
        )
        started_ns, self.now_ns = self.now_ns, self.now_ns + round(seconds * S)
        self.windows.add(interval, self.totals, started_ns, self.now_ns)
        return self.windows.broken()

    @property
    def worst(self):
        return next(iter(self.windows.worst().values()), None)


def test_the_worst_window_is_told_with_its_time():
    run = Run("operations.send_message.response_ms.max < 100 over 3s")
    for value in (10, 20, 30, 80, 40, 50, 60, 5):
        run.interval(value)
    assert run.worst.value == pytest.approx(80, rel=0.01)
    assert (run.worst.from_s, run.worst.until_s) == (1, 4)
    result = parse("operations.send_message.response_ms.max < 70 over 3s")
    check = result.check({}, {result: run.worst})
    assert not check.held
    assert check.why.endswith("from 1 s to 4 s of the run")


def test_a_percentile_is_that_of_all_samples_of_the_window():
    run = Run("operations.send_message.response_ms.p50 < 100 over 2s")
    run.interval(*[1] * 10)
    run.interval(*[100] * 11)
    assert run.worst.value == pytest.approx(100, rel=0.01)
    run = Run("operations.send_message.response_ms.p50 < 100 over 2s")
    run.interval(*[1] * 12)
    run.interval(*[100] * 11)
    assert run.worst.value == pytest.approx(1, rel=0.01)


def test_intervals_that_are_not_quite_on_time_still_make_a_window():
    run = Run("operations.send_message.done > 0 over 5s")
    for _ in range(5):
        run.interval(done=1, seconds=0.9997)
    assert run.worst == Worst(5, 0, pytest.approx(5, abs=0.01))


def test_before_a_window_is_complete_there_is_nothing_to_judge():
    threshold = parse("operations.send_message.done > 5 over 5s")
    run = Run(str(threshold))
    for _ in range(4):
        assert run.interval() == ""
    assert run.windows.worst() == {}
    assert "no such value" in threshold.check({}, run.windows.worst()).why
    assert "it is 0 from 0 s to 5 s" in run.interval()


def test_windows_in_which_nothing_was_timed_are_left_out():
    run = Run("operations.send_message.response_ms.p95 < 1 over 2s")
    run.interval()
    run.interval()
    assert run.worst is None
    run.interval(5)
    assert run.worst.from_s == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("operations.send_message.done < 9 over 2s", 9),
        ("operations.send_message.done > 9 over 2s", 3),
        ("operations.send_message.done == 4 over 2s", 9),
        ("operations.send_message.done != 4 over 2s", 3),
    ],
)
def test_what_is_worst_depends_on_what_is_asked(text, value):
    run = Run(text)
    for done in (1, 2, 7, 2):
        run.interval(done=done)
    assert run.worst.value == value


def test_what_is_counted_since_the_beginning_counts_by_its_growth():
    run = Run("connections.lost == 0 over 2s", measured=(2, 10))
    for lost in (3, 5, 5, 5, 7):
        run.interval(lost=lost)
    assert run.worst == Worst(2, 3, 5)


def test_failures_count_by_their_outcome():
    run = Run("failures.timeout == 0 over 2s")
    for timeouts in (0, 2, 1, 0):
        run.interval(timeouts=timeouts)
    assert run.worst == Worst(3, 1, 3)


def test_only_the_measured_phase_counts():
    run = Run("operations.send_message.done < 5 over 2s", measured=(2, 5))
    for done in (9, 9, 1, 2, 1, 9, 9):
        run.interval(done=done)
    assert run.worst == Worst(3, 2, 4)


def test_late_answers_belong_to_the_last_window():
    run = Run("operations.send_message.response_ms.max < 100 over 2s", measured=(0, 3))
    for value in (1, 2, 3):
        run.interval(value)
    run.interval(7000, seconds=7)
    assert run.worst.value == pytest.approx(7000, rel=0.01)
    assert (run.worst.from_s, run.worst.until_s) == (1, 3)


def test_a_long_window_holds_a_bounded_number_of_parts():
    run = Run("operations.send_message.done > 0 over 600s", measured=(0, 10_000))
    for _ in range(1300):
        run.interval(done=1)
    (watch,) = run.windows._watches.values()
    assert len(watch._panes) <= MOST_PANES + 1
    assert 600 <= run.worst.value <= 611


def test_lag_and_set_up_are_timed_too():
    run = Run("generator.lag_ms.p99 < 1 over 1s", "set_up.rpc_bind.max < 1 over 1s")
    interval = Totals()
    interval.histogram("send_message.lag").record_ns(2_000_000)
    interval.histogram("log_on.lag").record_ns(9_000_000)
    interval.histogram("rpc_bind.service").record_ns(3_000_000)
    run.windows.add(interval, run.totals, 0, S)
    assert [round(worst.value) for worst in run.windows.worst().values()] == [2, 3]
