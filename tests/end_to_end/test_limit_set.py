"""A limit set against the mock's own counters: asked for, written down, judged, told."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from loadgen.measure.counters import read

LIMITS = r"""
[[limit]]
counter = '\MSExchangeIS\Connection Count'
agg = "max"
op = "<"
value = 1
source = "too little for anybody"

[[limit]]
counter = '\RPC/HTTP Proxy\Number of Failed Back-End Connection attempts per Second'
agg = "max"
op = "=="
value = 0
source = "all servers can be reached"

[[limit]]
counter = '\MSExchangeIS\RPC Packets/sec'
agg = "mean"
op = ">"
value = 0
during = "measured"
source = "there is some work"

[[limit]]
counter = '\Nobody\Provides This'
agg = "max"
op = "<"
value = 1
source = "nobody"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    (folder / "own.toml").write_text(LIMITS)
    command = (sys.executable, "-m", "loadgen", "run", "smoke", "--limit_set", str(folder / "own.toml"))
    done = subprocess.run(
        (
            *command,
            "--out",
            str(folder / "results"),
            "--junit",
            str(folder / "junit.xml"),
            "--invalid-lag",
            "10s",
        ),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    (results,) = (folder / "results").iterdir()
    return done, results, ET.parse(folder / "junit.xml").getroot()


def test_a_limit_that_is_not_met_fails_the_run_and_names_counter_server_value_and_limit(run):
    done, results, _ = run
    assert done.returncode == 99, done.stderr
    summary = json.loads((results / "summary.json").read_text())
    assert summary["limit_set"] == "own"
    assert summary["verdict"] == "FAIL"
    assert len(summary["reasons"]) == 3  # both mailbox servers, and the public folder server
    assert all(r"max of \MSExchangeIS\Connection Count is" in reason for reason in summary["reasons"])
    assert summary["reasons"][0].startswith("MBX1: ")
    assert summary["reasons"][0].endswith(" not < 1")
    held = {(each["server"], each["counter"]): each["held"] for each in summary["limit_results"]}
    assert held["CAS1", r"\RPC/HTTP Proxy\Number of Failed Back-End Connection attempts per Second"] is True
    assert held["MBX1", r"\MSExchangeIS\RPC Packets/sec"] is True
    assert held["", r"\Nobody\Provides This"] is None


def test_the_counters_are_kept_as_perfmon_shows_them(run):
    samples = list(read(run[1] / "counters.csv"))
    assert {sample.server for sample in samples} == {"CAS1", "MBX1", "MBX2", "PF1", "GC1"}
    gauges = [sample for sample in samples if sample.counter == r"\NTDS\AB Client Sessions"]
    rates = [sample for sample in samples if sample.counter == r"\MSExchangeIS\RPC Packets/sec"]
    assert max(sample.value for sample in gauges) > 0
    assert 0 < max(sample.value for sample in rates) < 10_000


def test_the_screen_and_the_pipeline_are_told(run):
    done, _, xml = run
    assert r"broken  MBX1  max of \MSExchangeIS\Connection Count < 1" in done.stdout
    assert r"1 not measured, so not passed: \Nobody\Provides This" in done.stdout
    limits = xml.findall("testsuite/testcase[@classname='loadgen.limit']")
    assert sum(case.find("failure") is not None for case in limits) == 3
    assert sum(case.find("skipped") is not None for case in limits) == 1
