import pytest

from loadgen.measure.sample import OPERATIONS
from loadgen.measure.totals import Totals
from loadgen.telemetry import instruments
from loadgen.telemetry.instruments import BOUNDS_S, INSTRUMENTS
from loadgen.telemetry.meter import Meter, Standing


def values(meter, instrument):
    return {each.labels: each.value for each in meter.readings if each.instrument is instrument}


def test_every_instrument_says_something_with_its_labels(meter):
    assert {each.instrument for each in meter.readings} == set(INSTRUMENTS)
    for reading in meter.readings:
        assert len(reading.labels) == len(reading.instrument.labels), reading


@pytest.mark.parametrize(
    ("instrument", "expected"),
    [
        (instruments.PHASE, {("measure",): 1}),
        (
            instruments.USERS,
            {
                ("planned",): 10,
                ("wanted",): 8,
                ("logged_on",): 7,
                ("admitted",): 6,
                ("refused",): 0,
                ("lost",): 0,
            },
        ),
        (instruments.REFUSED, {("ports",): 1}),
        (instruments.LIMIT_HITS, {("ports", "CAS1"): 3}),
        (instruments.CONNECTIONS, {("cas_total", "expected"): 48, ("cas_total", "mock"): 47}),
        (instruments.VIRTUAL, {("mail",): 7}),
        (instruments.UNFINISHED, {(): 4}),
        (instruments.TRAFFIC, {("outlook", "heavy", "sending"): 8192}),
        (instruments.BUSY, {("0",): 0.25}),
        (instruments.CPU, {("0",): 1.5}),
        (instruments.DESCRIPTORS, {("0",): 50}),
        (instruments.MOST_DESCRIPTORS, {("0",): 1000}),
        (instruments.PORTS, {("0",): 0.1}),
        (instruments.MEMORY, {("0",): 10_000}),
    ],
)
def test_figures_are_those_of_the_run(meter, instrument, expected):
    assert values(meter, instrument) == expected


def test_operations_are_counted_by_outcome(meter):
    counted = values(meter, instruments.OPERATIONS)
    assert counted["send_message", "ok"] == 5
    assert counted["read_message", "rpc_fault"] == 2
    assert {operation for operation, _ in counted} == set(OPERATIONS)
    assert values(meter, instruments.PLANNED)["send_message",] == 5
    assert values(meter, instruments.SKIPPED)["read_message",] == 4


def test_histograms_add_up_over_the_intervals(meter):
    response = values(meter, instruments.RESPONSE)["send_message",]
    by_bound = dict(zip((*BOUNDS_S, "more"), response.counts, strict=True))
    assert {bound: count for bound, count in by_bound.items() if count} == {
        0.005: 1,
        0.05: 2,
        0.5: 1,
        "more": 1,
    }
    assert response.total == 5
    assert response.sum == pytest.approx(200.484, rel=0.001)
    assert response.smallest == pytest.approx(0.004, rel=0.001)
    assert response.largest == pytest.approx(200, rel=0.001)
    assert values(meter, instruments.SET_UP)["rpc_bind",].total == 2


def test_the_next_run_begins_with_nothing(meter):
    """As one search after another does."""
    meter.describe("gap", "mock", "beef", "2.0")
    [info] = meter.readings
    meter.take([], Totals(), Standing(phase="ramp", users_planned=1, users_wanted=1))
    assert not {instruments.RESPONSE, instruments.SERVICE} & {each.instrument for each in meter.readings}
    assert info in meter.readings


def test_lag_is_that_of_reports_logging_on_and_off_apart(meter):
    lag = values(meter, instruments.LAG)[()]
    assert (lag.total, lag.sum) == (2, pytest.approx(0.004, rel=0.001))


def test_before_the_first_interval_it_says_which_run_it_is():
    meter = Meter()
    assert meter.readings == ()
    meter.describe("campaign", "mock", "abcd", "1")
    assert values(meter, instruments.RUN) == {("campaign", "mock", "abcd", "1"): 1}


def test_names_are_unlike_and_translated_as_usual():
    names = {each.name: each.prometheus_name for each in INSTRUMENTS}
    assert len(set(names.values())) == len(INSTRUMENTS)
    assert names["loadgen.operation.response"] == "loadgen_operation_response_seconds"
    assert names["loadgen.traffic"] == "loadgen_traffic_bytes"
    assert names["loadgen.busy"] == "loadgen_busy_ratio"
    assert names["loadgen.users"] == "loadgen_users"
