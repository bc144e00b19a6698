"""A meter that has seen an interval of a run, and a receiver of what is pushed."""

import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadgen.errors import RpcFault
from loadgen.measure.connections import Census
from loadgen.measure.recorder import Gauges, Recorder, Snapshot
from loadgen.measure.sample import Sample
from loadgen.measure.totals import Totals
from loadgen.telemetry.meter import Meter, Standing
from loadgen.telemetry.prometheus import serving

ADDRESS = "127.47.0.1"
MS = 1_000_000

STANDING = Standing(
    phase="measure",
    users_planned=10,
    users_wanted=8,
    census=Census({"cas_total": 48}, {"client": {"cas_total": None}, "mock": {"cas_total": 47}}),
    refused_by_limit={"ports": 1},
    limit_hits={("ports", "CAS1"): 3},
)


def snapshot(responses_ms, shard=0, **gauges):
    recorder = Recorder(shard, 0)
    recorder.measure_between(0, 10**18)
    for response_ms in responses_ms:
        recorder.plan("send_message")
        recorder.record(Sample("send_message", 0, 0, round(response_ms * MS)))
    recorder.record(Sample("read_message", 0, 0, MS, RpcFault.outcome), "broken")
    recorder.skip("read_message", 2)
    recorder.lag("send_message", 0, 2 * MS)
    recorder.lag("log_on", 0, 500 * MS)
    recorder.layer("rpc_bind", 0, 3 * MS)
    recorder.traffic("outlook", "heavy", "sending", 4096)
    return recorder.snapshot(MS, Gauges(**gauges))


@pytest.fixture
def meter():
    """After two intervals: five messages, of which the first interval had two."""
    meter, totals = Meter(), Totals()
    meter.describe('quick"start"', "mock", "abcd", "0.1.0")
    for responses_ms in ((4, 40), (40, 400, 200_000)):
        found = snapshot(
            responses_ms,
            users_logged_on=7,
            users_admitted=6,
            virtual_connections={"mail": 7},
            unfinished=4,
            busy=0.25,
            cpu_s_total=1.5,
            descriptors=50,
            descriptors_limit=1000,
            ports_use=0.1,
            resident_octets=10_000,
        )
        totals.add(found)
        totals.add(Snapshot(shard=-1, started_ns=0, ended_ns=MS))  # the coordinator's own books: no worker
        meter.take([found], totals, STANDING)
    return meter


def scraped(readings):
    """What the endpoint serves, by metric, as Prometheus' own parser reads it."""
    with (
        serving(ADDRESS, 0, readings) as port,
        urllib.request.urlopen(f"http://{ADDRESS}:{port}/metrics", timeout=5) as answer,
    ):
        text = answer.read().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


class Receiver:
    """An OTLP collector that keeps what it gets; ``status`` is what it answers."""

    def __init__(self):
        self.requests = []
        self.status = 200
        self.got = threading.Event()
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.requests.append((self.path, self.headers, body))
                self.send_response(received.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                received.got.set()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer((ADDRESS, 0), Handler)
        self.url = f"http://{ADDRESS}:{self.server.server_port}"


@pytest.fixture
def receiver():
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()
