import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import ProfileError
from loadgen.measure.counters import HEADER, Cooker, CounterPath, CounterSample, is_rate, read, rows


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (r"\MSExchangeIS\RPC Requests", ("MSExchangeIS", None, "RPC Requests")),
        (r"\Processor(_Total)\% Processor Time", ("Processor", "_Total", "% Processor Time")),
        (
            r"\MSExchange Database ==> Instances(Information Store/DB1#1)\I/O Log Writes Average Latency",
            (
                "MSExchange Database ==> Instances",
                "Information Store/DB1#1",
                "I/O Log Writes Average Latency",
            ),
        ),
        (
            r"\Network Interface(Intel[R] 82574L (Copper) _2)\Bytes Total/sec",
            ("Network Interface", "Intel[R] 82574L (Copper) _2", "Bytes Total/sec"),
        ),
        (
            r"\MSExchange RpcClientAccess Per Server(cas1)\RPC Average Latency (End To End)",
            ("MSExchange RpcClientAccess Per Server", "cas1", "RPC Average Latency (End To End)"),
        ),
        (r"\Process(c:\a\b)\Private Bytes", ("Process", "c:\\a\\b", "Private Bytes")),
        (r"\Limit\ports\In Use", ("Limit", None, "ports\\In Use")),
        (
            r"\RPC/HTTP Proxy\Current Number of Unique Users",
            ("RPC/HTTP Proxy", None, "Current Number of Unique Users"),
        ),
    ],
)
def test_a_path_is_taken_apart_and_put_together(text, parts):
    path = CounterPath.parse(text)
    assert (path.object_name, path.instance, path.counter) == parts
    assert str(path) == text


@pytest.mark.parametrize(
    "text", ["", "Processor", r"\Processor", r"Processor\Time", "\\\\Time", "\\A\\", r"\A(b\c"]
)
def test_what_is_no_path_is_said(text):
    with pytest.raises(ValueError, match="Object"):
        CounterPath.parse(text)


@given(st.text("ab()\\ #", max_size=12))
def test_any_text_is_a_path_or_not(text):
    try:
        path = CounterPath.parse(text)
    except ValueError:
        return
    assert CounterPath.parse(str(path)) == path


@pytest.mark.parametrize(
    ("pattern", "counter", "matches"),
    [
        (r"\A(*)\c", r"\A(x)\c", True),
        (r"\A(*)\c", r"\A(_Total)\c", False),
        (r"\A(*)\c", r"\A\c", False),
        (r"\A(_Total)\c", r"\a(_total)\C", True),
        (r"\A\c", r"\A(x)\c", False),
        (r"\A(x)\c", r"\A(y)\c", False),
        (r"\A(x)\c", r"\B(x)\c", False),
    ],
)
def test_an_instance_may_be_any(pattern, counter, matches):
    assert CounterPath.parse(pattern).matches(CounterPath.parse(counter)) is matches


@pytest.mark.parametrize(
    ("counter", "rate"),
    [
        (r"\A\RPC Operations/sec", True),
        (r"\A\Too Busy / sec", True),
        (r"\A\attempts per Second", True),
        (r"\A\Long running LDAP operations/Min", True),
        (r"\A\RPC Requests", False),
        (r"\A\Client: Latency > 2 sec RPCs", False),
    ],
)
def test_a_name_says_whether_it_is_a_rate(counter, rate):
    assert is_rate(counter) is rate


def test_totals_become_rates():
    cooker = Cooker()
    assert cooker.cook(10, "CAS1", {r"\A\x/sec": 100.0, r"\A\now": 7.0}) == [
        CounterSample(10, "CAS1", r"\A\now", 7.0)
    ]
    assert cooker.cook(15, "CAS1", {r"\A\x/sec": 150.0}) == [CounterSample(15, "CAS1", r"\A\x/sec", 10.0)]
    assert cooker.cook(15, "CAS2", {r"\A\x/sec": 150.0}) == []
    assert cooker.cook(20, "CAS1", {r"\A\x/sec": 5.0}) == []
    assert cooker.cook(25, "CAS1", {r"\A\x/sec": 5.0})[0].value == 0
    cooker.cook(0, "GC1", {r"\A\y/min": 0.0})
    assert cooker.cook(10, "GC1", {r"\A\y/min": 1.0})[0].value == 6


def test_what_is_written_is_read_again_but_for_a_line_that_was_cut(tmp_path):
    samples = [CounterSample(0.5, "CAS1", r'\A(",")\c', 1.25), CounterSample(5.0, "MBX1", r"\A\c", 1e9)]
    path = tmp_path / "counters.csv"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows(samples))
    path.write_text(f"{','.join(HEADER)}\n{text.getvalue()}1,6.0,MBX1,\\A")
    assert list(read(path)) == samples


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: the header"),
        (",".join(HEADER) + "\n1,2,3\n", "line 2: is not"),
        (",".join(HEADER) + "\n1,x,a,b,2\n", "line 2"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(tmp_path, text, problem):
    path = tmp_path / "counters.csv"
    path.write_text(text)
    with pytest.raises(ProfileError, match=problem):
        list(read(path))
    with pytest.raises(ProfileError, match="No such file"):
        list(read(tmp_path / "none.csv"))
