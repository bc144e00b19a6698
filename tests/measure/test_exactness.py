"""Latency on a fake clock: known delays and a known stall, told apart by response, service and lag."""

import pytest

from loadgen.measure.histogram import PERCENTILES
from loadgen.measure.recorder import Recorder
from loadgen.measure.sample import Sample
from loadgen.measure.totals import Totals

MS = 1_000_000
PERIOD_MS, SERVICE_MS, OPERATIONS, STALLED, STALL_MS = 100, 10, 1_000, 500, 2_000


def run(timer_late_ms: int = 0) -> tuple[Totals, list[int], list[int]]:
    """One user, one operation at a time, one due each 100 ms; number 500 meets a stall of 2 s."""
    recorder = Recorder(0, 0)
    recorder.measure_between(0, 10**15)
    clock_ms, responses, services = 0, [], []
    for number in range(OPERATIONS):
        due = number * PERIOD_MS
        fired = due + timer_late_ms
        started = max(fired, clock_ms)
        clock_ms = started + (STALL_MS if number == STALLED else SERVICE_MS)
        recorder.lag("read_message", due * MS, fired * MS)
        recorder.record(Sample("read_message", due * MS, started * MS, clock_ms * MS))
        responses.append(clock_ms - due)
        services.append(clock_ms - started)
    totals = Totals()
    totals.add(recorder.snapshot(clock_ms * MS))
    return totals, sorted(responses), sorted(services)


def figures(totals: Totals, what: str) -> dict[float, float]:
    found = totals.histogram(f"read_message.{what}").percentiles_us([*PERCENTILES.values(), 100])
    return {percentile: value / 1000 for percentile, value in found.items()}


def exact(values_ms: list[int]) -> dict[float, float]:
    return {
        percentile: values_ms[-(-round(percentile * 10) * len(values_ms) // 1000) - 1]
        for percentile in (*PERCENTILES.values(), 100)
    }


def test_a_stall_shows_in_the_response_times_of_all_that_waited():
    totals, responses, services = run()
    assert responses.count(SERVICE_MS) == OPERATIONS - 23  # the stalled one, and the 22 that had to wait
    assert figures(totals, "response") == pytest.approx(exact(responses), rel=1e-3)
    assert figures(totals, "service") == pytest.approx(exact(services), rel=1e-3)
    assert figures(totals, "response")[99] > 1_000
    assert figures(totals, "service")[99] == pytest.approx(SERVICE_MS, rel=1e-3)


def test_waiting_for_the_target_is_no_lag_of_the_generator():
    totals, _, _ = run()
    assert totals.histogram("read_message.lag").max_us == 1
    assert totals.clamped == 0


def test_a_late_timer_is_lag_and_response_but_not_service():
    totals, responses, services = run(timer_late_ms=30)
    assert figures(totals, "lag") == pytest.approx(dict.fromkeys((*PERCENTILES.values(), 100), 30), rel=1e-3)
    assert min(responses) == SERVICE_MS + 30
    assert figures(totals, "response") == pytest.approx(exact(responses), rel=1e-3)
    assert figures(totals, "service") == pytest.approx(exact(services), rel=1e-3)
