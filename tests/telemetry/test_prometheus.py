"""The endpoint as Prometheus reads it: parsed by the library's own parser."""

import errno
import socket

import pytest

from loadgen.telemetry.instruments import BOUNDS_S, INSTRUMENTS
from loadgen.telemetry.prometheus import serving
from tests.telemetry.conftest import ADDRESS, scraped


def test_every_instrument_is_there_under_its_name_and_kind(meter):
    families = scraped(lambda: meter.readings)
    assert {name: family.type for name, family in families.items()} == {
        each.prometheus_name: each.kind for each in INSTRUMENTS
    }
    assert {name: family.documentation for name, family in families.items()} == {
        each.prometheus_name: each.text for each in INSTRUMENTS
    }


def test_values_and_labels_arrive(meter):
    families = scraped(lambda: meter.readings)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert samples["loadgen_users", "wanted"] == 8
    assert samples["loadgen_operations_total", "read_message", "rpc_fault"] == 2
    assert samples["loadgen_reconnects_total",] == 0
    [info] = families["loadgen_run_info"].samples
    assert info.labels["campaign"] == 'quick"start"'


def test_histograms_are_cumulative_and_end_in_infinity(meter):
    family = scraped(lambda: meter.readings)["loadgen_operation_response_seconds"]
    buckets = [each for each in family.samples if each.name.endswith("_bucket")]
    bounds = [float(each.labels["le"]) for each in buckets]
    assert bounds == [*BOUNDS_S, float("inf")]
    counts = [each.value for each in buckets]
    assert counts == sorted(counts)
    assert counts[-1] == 5 == next(each.value for each in family.samples if each.name.endswith("_count"))


def test_an_endpoint_without_readings_is_empty():
    assert scraped(tuple) == {}


def test_a_port_that_is_taken_is_an_error():
    with socket.create_server((ADDRESS, 0)) as taken, pytest.raises(OSError) as caught:  # noqa: PT011, SIM117
        with serving(ADDRESS, taken.getsockname()[1], tuple):
            pass
    assert caught.value.errno == errno.EADDRINUSE
