import json
from typing import Any

import pytest

from loadgen.errors import ProfileError
from loadgen.measure.threshold import (
    Bounds,
    Ending,
    Judgement,
    Threshold,
    describe_limit,
    judge,
    parse,
    parse_all,
)

COLUMN = {"expected": 8, "client": None, "kernel": 8, "mock": 8}
LATENCY = {"p50": 1.0, "p90": 2.0, "p95": 3.0, "p99": 4.0, "p999": None, "max": 5.0}
GOOD: dict[str, Any] = {
    "users": {"planned": 10, "logged_on_peak": 10, "refused": 0, "refused_by_limit": {}, "lost": 0},
    "limits": [],
    "operations": {
        "send_message": {"planned": 9, "done": 9, "failed": 0, "skipped": 0, "response_ms": LATENCY},
        "resolve_names": {"planned": 0, "done": 36, "failed": 0, "skipped": 0, "response_ms": LATENCY},
    },
    "connections": {"peak": {"store": COLUMN}, "steady": {"store": COLUMN}, "lost": 0},
    "traffic": {"loadgen-2007-online": {"very-heavy": {"sending": 12.5}}},
    "failures": {"timeout": 0},
    "generator": {
        "lag_ms": LATENCY,
        "busy_peak": 0.5,
        "descriptors_use_peak": 0.1,
        "ports_use_peak": 0.1,
    },
}


@pytest.mark.parametrize(
    ("text", "threshold"),
    [
        ("users.refused == 0", Threshold("users.refused", "==", 0)),
        (
            "operations.send_message.response_ms.p95 < 1000",
            Threshold("operations.send_message.response_ms.p95", "<", 1000),
        ),
        (
            "  operations.log_on.service_ms.max<=1e3 ",
            Threshold("operations.log_on.service_ms.max", "<=", 1000),
        ),
        (
            "traffic.my-client.my-profile.sending>=-1.5",
            Threshold("traffic.my-client.my-profile.sending", ">=", -1.5),
        ),
        ("connections.peak.store.kernel != 3", Threshold("connections.peak.store.kernel", "!=", 3)),
        ("connections.lost > 0", Threshold("connections.lost", ">", 0)),
        ("failures.wrong_answer == 0", Threshold("failures.wrong_answer", "==", 0)),
        ("generator.lag_ms.p99 < 50", Threshold("generator.lag_ms.p99", "<", 50)),
        ("set_up.rpc_bind.p99 < 50", Threshold("set_up.rpc_bind.p99", "<", 50)),
        ("set_up.rpc_bind.p99 < 50 over 60s", Threshold("set_up.rpc_bind.p99", "<", 50, 60)),
        ("connections.lost==0  over  1.5m", Threshold("connections.lost", "==", 0, 90)),
        ("failures.timeout < 3 over 2h", Threshold("failures.timeout", "<", 3, 7200)),
    ],
)
def test_path_op_number(text, threshold):
    assert parse(text) == threshold
    assert parse(str(threshold)) == threshold


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("users.refused", "is not 'path op number', where op is one of < <= > >= == !="),
        ("users.refused = 0", "is not 'path op number'"),
        ("users.refused == zero", "is not 'path op number'"),
        ("users.refused == 1.2.3", "is not 'path op number'"),
        ("user.refused == 0", "the summary has no 'user'; allowed: users, operations, connections, traffic"),
        ("users.away == 0", "users has no 'away'; allowed: planned, logged_on_peak, admitted_peak"),
        (
            "operations.send.done > 0",
            "operations has no 'send'; allowed: log_on, send_message, resolve_names",
        ),
        (
            "operations.log_on.response_ms.p75 < 1",
            "operations.log_on.response_ms has no 'p75'; allowed: p50, p90",
        ),
        ("users.lost.today == 0", "users.lost has no 'today'; it is a number"),
        ("operations.log_on.response_ms < 5", "operations.log_on.response_ms is not a number"),
        ("failures.ok == 0", "failures has no 'ok'; allowed: unreachable, "),
        (
            "operations.send_mesage.response_ms.p95 < 1",
            "did you mean operations.send_message.response_ms.p95?",
        ),
        ("users.lost == 0 over 60", "is not 'path op number over 60s' (or m, h), where op is"),
        ("users.lost == 0 over 0s", "a window must be longer than 0s"),
        ("users.planned == 0 over 60s", "users.planned is of the run as a whole; leave 'over …' out"),
        ("connections.peak.store.kernel == 3 over 1m", "is of the run as a whole"),
    ],
)
def test_what_is_wrong_and_what_is_allowed_is_said(text, problem):
    with pytest.raises(ProfileError) as caught:
        parse(text)
    assert str(caught.value).startswith(repr(text))
    assert problem in str(caught.value)


def test_all_wrong_thresholds_are_told_at_once():
    with pytest.raises(ProfileError, match=r"'a < 1': .*; 'b < 2': "):
        parse_all(["a < 1", "users.lost == 0", "b < 2"])


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("operations.send_message.response_ms.p95 < 3", "does not hold: it is 3"),
        ("operations.send_message.response_ms.p95 <= 3", None),
        ("operations.send_message.response_ms.p95 > 2.5", None),
        ("operations.send_message.response_ms.p95 >= 3.5", "does not hold: it is 3"),
        ("operations.send_message.response_ms.p95 == 3", None),
        ("operations.send_message.response_ms.p95 != 3", "does not hold: it is 3"),
        ("operations.send_message.response_ms.p999 < 9", "there is no such value in this run"),
        ("connections.peak.store.client == 8", "there is no such value in this run"),
        ("traffic.loadgen-2007-online.very-heavy.sending < 20", None),
        ("traffic.other.very-heavy.sending < 20", "there is no such value in this run"),
    ],
)
def test_a_threshold_holds_or_says_why_not(text, broken):
    why = parse(text).check(GOOD).why
    assert why == "" if broken is None else broken in why and text in why


def with_change(*path: object) -> dict[str, Any]:
    changed = json.loads(json.dumps(GOOD))
    *steps, last, value = path
    place = changed
    for step in steps:
        place = place[step]
    place[last] = value
    return changed


def test_a_good_run_passes():
    assert judge(GOOD, ()) == Judgement("PASS", (), 0)


def refused(**by_limit: int) -> dict[str, Any]:
    """A run in which users were refused, with ports of two servers hit."""
    document = with_change("users", "refused", sum(by_limit.values()))
    document["users"]["refused_by_limit"] = by_limit
    document["limits"] = [
        {"name": "ports", "server": "CAS1", "in_use": 3276.0, "of": 3276.0},
        {"name": "ports", "server": "CAS2", "in_use": 9.0, "of": 10.0},
    ]
    return document


@pytest.mark.parametrize(
    ("name", "said"),
    [("ports", "CAS1 (40 of 60 in use)"), ("worker_recycling", "CAS1 (its worker was 40 of 60 s old)")],
)
def test_how_far_a_limit_was_used_is_told_in_its_unit(name, said):
    assert describe_limit({"name": name, "server": "CAS1", "in_use": 40.0, "of": 60.0}) == said


@pytest.mark.parametrize(
    ("document", "verdict", "reason", "exit_code"),
    [
        (with_change("operations", "send_message", "failed", 1), "FAIL", "send_message: 1 of 10 failed", 99),
        (
            with_change("operations", "send_message", "done", 7),
            "FAIL",
            "send_message: 2 of 9 planned never ended",
            99,
        ),
        (
            with_change("operations", "resolve_names", "skipped", 4),
            "FAIL",
            "target_overloaded: 4 arrivals skipped while the generator kept time: too many operations waited",
            99,
        ),
        (with_change("users", "refused", 2), "FAIL", "2 of 10 users were refused", 99),
        (
            refused(ports=41),
            "FAIL",
            "41 users refused: ports of CAS1 (3,276 of 3,276 in use) and CAS2 (9 of 10 in use)",
            99,
        ),
        (refused(nspi_sessions=1), "FAIL", "1 users refused: nspi_sessions", 99),
        (with_change("connections", "lost", 3), "FAIL", "3 virtual connections were lost", 99),
        (with_change("connections", "peak", {}), "FAIL", "connections at peak were not counted", 99),
        (
            with_change("connections", "steady", "store", "mock", 7),
            "FAIL",
            "connections at steady: store expected 8, mock counted 7",
            99,
        ),
        (
            with_change("generator", "lag_ms", "p99", 100.5),
            "INVALID",
            "the generator lagged: p99 100.5 ms, more than 100 ms; give it a machine",
            98,
        ),
        (
            with_change("generator", "busy_peak", 0.86),
            "INVALID",
            "a worker was busy 86% of ten seconds, more than 85%; give more workers",
            98,
        ),
        (
            with_change("generator", "descriptors_use_peak", 0.96),
            "INVALID",
            "more than 95%; raise the hard limit",
            98,
        ),
        (
            with_change("generator", "ports_use_peak", 1.0),
            "INVALID",
            "source ports were in use, more than 95%; give more source_ip",
            98,
        ),
    ],
)
def test_one_thing_wrong(document, verdict, reason, exit_code):
    judgement = judge(document, ())
    assert (judgement.verdict, judgement.exit_code, len(judgement.reasons)) == (verdict, exit_code, 1)
    assert reason in judgement.reasons[0]


def test_the_bounds_of_invalid_are_keys():
    document = with_change("generator", "busy_peak", 0.9)
    assert judge(document, (), Bounds(busy=0.95)).verdict == "PASS"
    assert judge(GOOD, (), Bounds(lag_ms=3.5)).verdict == "INVALID"


def test_lag_that_was_not_measured_says_nothing():
    assert judge(with_change("generator", "lag_ms", "p99", None), ()).verdict == "PASS"


def test_skipped_arrivals_of_a_lagging_generator_are_not_the_targets_fault():
    document = with_change("operations", "send_message", "skipped", 4)
    document["generator"]["busy_peak"] = 0.9
    judgement = judge(document, ())
    assert judgement.exit_code == 98
    assert not any("target_overloaded" in reason for reason in judgement.reasons)


def test_own_thresholds_take_the_place_of_the_default_rule():
    document = with_change("users", "refused", 2)
    assert judge(document, parse_all(["users.refused < 3"])).verdict == "PASS"
    judgement = judge(GOOD, parse_all(["users.planned > 10", "users.lost == 0", "users.refused > 0"]))
    assert (judgement.verdict, len(judgement.reasons)) == ("FAIL", 2)


BROKEN = with_change("users", "refused", 2)
LAGGING = with_change("generator", "busy_peak", 0.9)
BOTH = with_change("generator", "busy_peak", 0.9)
BOTH["users"]["refused"] = 2


@pytest.mark.parametrize(
    ("document", "ending", "verdict", "exit_code"),
    [
        (BOTH, Ending(bug="KeyError", interrupted=True, unreachable="x"), "INVALID", 1),
        (BOTH, Ending(interrupted=True, unreachable="x"), "INVALID", 130),
        (GOOD, Ending(interrupted=True), "INVALID", 130),
        (BOTH, Ending(unreachable="connection refused"), "FAIL", 3),
        (BOTH, Ending(), "INVALID", 98),
        (LAGGING, Ending(), "INVALID", 98),
        (BROKEN, Ending(), "FAIL", 99),
        (GOOD, Ending(aborted="users.lost == 0 does not hold: it is 3"), "FAIL", 99),
        (GOOD, Ending(uncounted=("the mock did not answer",)), "FAIL", 99),
        (GOOD, Ending(), "PASS", 0),
    ],
)
def test_when_several_apply_the_gravest_gives_the_exit_code(document, ending, verdict, exit_code):
    judgement = judge(document, (), ending=ending)
    assert (judgement.verdict, judgement.exit_code) == (verdict, exit_code)
    assert bool(judgement.reasons) == (exit_code != 0)


def test_the_reason_of_an_unreachable_target_stands_alone():
    assert judge(BOTH, (), ending=Ending(unreachable="refused")).reasons == ("refused",)


def test_who_was_refused_by_no_limit_that_is_known_is_said_apart():
    reasons = judge(refused(ports=41, unknown=2), ()).reasons
    assert [reason.partition(":")[0] for reason in reasons] == [
        "41 users refused",
        "2 users refused for other reasons",
    ]
