"""What a collector receives, decoded from the protobuf."""

import gzip
import threading

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from loadgen.telemetry.instruments import BOUNDS_S, INSTRUMENTS
from loadgen.telemetry.otlp import pushing


def decoded(request):
    _, headers, body = request
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    [of_resource] = ExportMetricsServiceRequest.FromString(body).resource_metrics
    [of_scope] = of_resource.scope_metrics
    attributes = {each.key: each.value.string_value for each in of_resource.resource.attributes}
    return attributes, {metric.name: metric for metric in of_scope.metrics}


def attributes_of(point):
    return tuple(each.value.string_value for each in point.attributes)


@pytest.fixture
def received(meter, receiver):
    """Of a run that is over at once: pushed once, at its end."""
    warnings = []
    with pushing(receiver.url, lambda: meter.readings, warnings.append, version="0.1.0", every_s=3600):
        pass
    assert warnings == []
    [request] = receiver.requests
    assert request[0] == "/v1/metrics"
    assert request[1]["Content-Type"] == "application/x-protobuf"
    return decoded(request)


def test_every_instrument_arrives_with_unit_and_kind(received):
    attributes, metrics = received
    assert attributes["service.name"] == "loadgen"
    assert attributes["service.version"] == "0.1.0"
    kinds = {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}
    assert {name: (metric.WhichOneof("data"), metric.unit) for name, metric in metrics.items()} == {
        each.name: (kinds[each.kind], each.unit) for each in INSTRUMENTS
    }


def test_counters_are_cumulative_and_monotonic(received):
    counted = received[1]["loadgen.operations"].sum
    assert counted.is_monotonic
    assert counted.aggregation_temporality == 2
    points = {attributes_of(point): point.as_double or point.as_int for point in counted.data_points}
    assert points["send_message", "ok"] == 5
    assert points["read_message", "rpc_fault"] == 2
    assert all(0 < point.start_time_unix_nano <= point.time_unix_nano for point in counted.data_points)


def test_histograms_have_counts_between_bounds(received):
    [point] = [
        point
        for point in received[1]["loadgen.operation.response"].histogram.data_points
        if attributes_of(point) == ("send_message",)
    ]
    assert tuple(point.explicit_bounds) == BOUNDS_S
    assert sum(point.bucket_counts) == point.count == 5
    assert (point.bucket_counts[2], point.bucket_counts[-1]) == (1, 1)
    assert (point.min, point.max) == (pytest.approx(0.004, rel=0.01), pytest.approx(200, rel=0.01))


def test_it_pushes_again_and_again(meter, receiver):
    with pushing(f"{receiver.url}/own/path", lambda: meter.readings, print, version="0.1.0", every_s=0.001):
        assert receiver.got.wait(10)
        receiver.got.clear()
        assert receiver.got.wait(10)
    assert {path for path, *_ in receiver.requests} == {"/own/path"}


def test_a_collector_that_refuses_is_told_of_once(meter, receiver):
    receiver.status = 400
    warnings, told = [], threading.Event()

    def warn(text):
        warnings.append(text)
        told.set()

    with pushing(receiver.url, lambda: meter.readings, warn, version="0.1.0", every_s=0.001):
        assert told.wait(10)
        before = len(receiver.requests)
        receiver.got.clear()
        assert receiver.got.wait(10)
    assert len(receiver.requests) > before
    assert warnings == [f"Warning: metrics do not arrive at {receiver.url}; trying on every 0.001 s"]


def test_a_run_that_has_nothing_to_say_sends_nothing(receiver):
    with pushing(receiver.url, tuple, print, version="0.1.0", every_s=3600):
        pass
    assert receiver.requests == []
