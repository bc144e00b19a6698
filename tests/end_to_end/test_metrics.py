"""A real run as Prometheus and an OpenTelemetry collector see it while it lasts."""

import re
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.test_run import STRICT, UNHURRIED, loadgen, only_folder, summary_in

PATIENCE_S = 90


class Collector(ThreadingHTTPServer):
    """Keeps the bodies of what is sent to it."""

    def __init__(self):
        collector, self.bodies = self, []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.47.0.2", 0), Handler)


@pytest.fixture
def collector():
    collector = Collector()
    thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield collector
    collector.shutdown()
    collector.server_close()
    thread.join()


def samples(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_both_see_the_run_that_the_summary_tells_of(tmp_path, collector):
    words = (
        *("run", "--group", "6:outlook2003-online-anywhere:heavy", "--ramp", "0s", "--startup-hold", "0s"),
        *("--speed", "300", "--duration", "600s", "--out", str(tmp_path), *UNHURRIED),
        *("--metrics", "127.47.0.2:0", "--otlp", f"http://127.47.0.2:{collector.server_port}"),
    )
    run = subprocess.Popen([*STRICT, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        url = re.search(r"metrics: (\S+)", run.stderr.readline())[1]
        draining = threading.Thread(target=run.stderr.read)
        draining.start()
        deadline = time.monotonic() + PATIENCE_S
        while (seen := samples(url)).get(("loadgen_operations_total", "send_message", "ok"), 0) < 10:
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)
        assert loadgen("control", str(only_folder(tmp_path)), "stop").returncode == 0
        assert run.wait(PATIENCE_S) == 0
        draining.join()
    finally:
        run.kill()
        run.wait()
        run.stderr.close()
    summary = summary_in(only_folder(tmp_path))
    assert seen["loadgen_users", "planned"] == seen["loadgen_users", "logged_on"] == 6
    assert seen["loadgen_phase", "measure"] == 1
    assert (
        seen["loadgen_connections", "cas_total", "mock"]
        == seen["loadgen_connections", "cas_total", "expected"]
    )
    assert seen["loadgen_operation_response_seconds_count", "send_message"] >= 1
    [of_resource] = ExportMetricsServiceRequest.FromString(collector.bodies[-1]).resource_metrics
    metrics = {each.name: each for each in of_resource.scope_metrics[0].metrics}
    done = {
        tuple(each.value.string_value for each in point.attributes): point.as_int
        for point in metrics["loadgen.operations"].sum.data_points
    }
    assert done["send_message", "ok"] == summary["operations"]["send_message"]["done"] >= 10
    assert done["log_off", "ok"] == 6
