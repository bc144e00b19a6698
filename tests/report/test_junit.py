import xml.etree.ElementTree as ET

import msgspec
import pytest

from loadgen.errors import ProfileError
from loadgen.measure.recorder import Failure
from loadgen.measure.store import ResultsError
from loadgen.measure.threshold import ThresholdResult
from loadgen.measure.totals import Totals
from loadgen.report import junit
from loadgen.report.junit import Case, cases_of, verdict_case, write_junit
from loadgen.report.limit_check import LimitResult
from loadgen.report.summary import Cell, summarise
from loadgen.workload.campaign import load_campaign, populate


@pytest.fixture(scope="module")
def summary():
    """A run of which a bit of everything went wrong."""
    campaign = load_campaign("smoke")
    totals = Totals()
    totals.counts["send_message"].done = 9
    totals.counts["send_message"].failed = 1
    totals.counts["read_message"].done = 4
    totals.failures["send_message", "timeout"] = Failure("send_message", "timeout", 1, 0, 0, "no \x1b answer")
    found = summarise(campaign, populate(campaign), totals, measured_s=1.0)
    cell = Cell(expected=8, client=8, kernel=7, mock=8)
    held = LimitResult(limit="max of x == 0", source="", server="CAS1", counter="x", held=True, measured=0)
    return msgspec.structs.replace(
        found,
        verdict="FAIL",
        reasons=("one", "two"),
        thresholds=(
            ThresholdResult(text="users.lost == 0", held=True, measured=0),
            ThresholdResult(text="users.refused == 0", held=False, measured=3),
        ),
        limit_results=(
            held,
            msgspec.structs.replace(held, held=False, why="CAS1: max of x is 3, not == 0"),
            msgspec.structs.replace(held, server="", held=None, why="not measured: nobody"),
        ),
        connections=msgspec.structs.replace(found.connections, steady={"store": cell}),
    )


def test_each_thing_that_had_to_hold_is_a_case(summary):
    assert list(cases_of(summary)) == [
        Case("verdict", "verdict", failure="one; two"),
        Case("threshold", "users.lost == 0"),
        Case("threshold", "users.refused == 0", failure="users.refused == 0 does not hold: it is 3"),
        Case("limit", "CAS1: max of x == 0"),
        Case("limit", "CAS1: max of x == 0", failure="CAS1: max of x is 3, not == 0"),
        Case("limit", "max of x == 0", skipped="not measured: nobody"),
        Case("barrier", "peak", failure="connections at peak were not counted"),
        Case("barrier", "steady", failure="connections at steady: store expected 8, kernel counted 7"),
        Case("operation", "send_message", failure="1 of 10 failed; 1 timeout: no \x1b answer"),
        Case("operation", "read_message"),
    ]


def test_the_file_is_what_pipelines_read(summary, tmp_path):
    path = tmp_path / "junit.xml"
    write_junit(path, "smoke", cases_of(summary))
    suite = ET.parse(path).getroot().find("testsuite")
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped")} == {
        "name": "smoke",
        "tests": "10",
        "failures": "6",
        "errors": "0",
        "skipped": "1",
    }
    failure = suite.find("testcase[@classname='loadgen.operation'][@name='send_message']/failure")
    assert failure.get("message") == r"1 of 10 failed; 1 timeout: no \x1b answer"


def test_invalid_is_an_error_and_pass_is_neither(tmp_path):
    assert verdict_case("INVALID", ("lag",)).error == "lag"
    assert verdict_case("PASS", ()) == Case("verdict", "verdict")
    write_junit(tmp_path / "junit.xml", "x", [verdict_case("INVALID", ())])
    assert ET.parse(tmp_path / "junit.xml").getroot().find("testsuite/testcase/error") is not None


def test_a_file_that_cannot_be_written_and_a_library_that_is_not_there_are_told(tmp_path, monkeypatch):
    with pytest.raises(ResultsError, match="No such file"):
        write_junit(tmp_path / "none" / "junit.xml", "x", [])
    monkeypatch.setattr(junit, "find_spec", lambda _: None)
    with pytest.raises(ProfileError, match="outlook-loadgen\\[report\\]"):
        junit.require_junit()
