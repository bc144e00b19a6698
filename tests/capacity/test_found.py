"""Verdicts over plateaus and searches, the plan beside them, and what is said of it all."""

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from loadgen.capacity import found_text
from loadgen.capacity.ceilings import Ceiling
from loadgen.capacity.found import (
    MORE_GENERATOR,
    Capacity,
    Evidence,
    Planned,
    Reading,
    Step,
    compare,
    judge_plateau,
    judge_search,
    moved,
    reasons_of,
    require_judgeable,
    stopped_by,
)
from loadgen.capacity.search import Plateau, Search
from loadgen.errors import ProfileError
from loadgen.measure.limits import LimitReading
from loadgen.measure.threshold import Bounds, parse
from loadgen.report.summary import Generator, Latency

GENERATOR = Generator(
    lag_ms=Latency(p99=5.0),
    cpu_s=1.0,
    busy_peak=0.1,
    descriptors_use_peak=0.1,
    ports_use_peak=0.1,
    memory_per_user_kb=1.0,
    clamped=0,
)
CLEAN = {
    "operations": {
        "send_message": {"failed": 0, "skipped": 0, "response_ms": {"p95": 50.0}},
        "log_on": {"failed": 0, "skipped": 0},
    },
    "connections": {"lost": 0},
    "generator": msgspec.to_builtins(GENERATOR),
    "limit_results": [],
}
FAST = parse("operations.send_message.response_ms.p95 < 10")
REFUSED = Plateau(users=41, admitted=40, refused=1, first_refused=40, limit="ports")
LAGGED = Plateau(users=41, admitted=41, generator=("the generator lagged",))
SLOW = Plateau(users=41, admitted=41, broken=("p95 < 10 does not hold: it is 50",))
PORTS = Ceiling("ports", "client_access", "CAS1", 40, 327)


def document(**changes):
    return CLEAN | changes


@pytest.mark.parametrize(
    ("found", "thresholds", "broken", "generator"),
    [
        (CLEAN, (), (), ()),
        (CLEAN, (FAST,), (f"{FAST} does not hold: it is 50",), ()),
        (CLEAN, (msgspec.structs.replace(FAST, over_s=60.0),), (f"{FAST} does not hold: it is 50",), ()),
        (document(operations={"log_on": {"failed": 2, "skipped": 0}}), (), ("log_on: 2 failed",), ()),
        (document(operations={"log_on": {"failed": 2, "skipped": 0}}), (parse("users.lost == 0"),), None, ()),
        (
            document(operations={"log_on": {"failed": 0, "skipped": 3}}),
            *((), ("target_overloaded: 3 arrivals skipped",), ()),
        ),
        (
            document(
                limit_results=[
                    {"held": None, "why": "not measured"},
                    {"held": True, "why": ""},
                    {"held": False, "why": "CAS1: mean is 30"},
                ]
            ),
            *((), ("CAS1: mean is 30",), ()),
        ),
        (document(connections={"lost": 4}), (), ("4 virtual connections were lost",), ()),
        (
            document(generator=CLEAN["generator"] | {"busy_peak": 0.9}),
            *((), ()),
            ("a worker was busy 90% of ten seconds, more than 85%; give more workers, or fewer users",),
        ),
    ],
)
def test_what_a_plateau_breaks(found, thresholds, broken, generator):
    if broken is None:  # thresholds of one's own decide alone
        broken = ("users.lost == 0 does not hold: there is no such value in this run",)
    assert judge_plateau(found, thresholds, Bounds()) == (broken, generator)


HOLDING = "users who only hold their connections do no work in them"


@pytest.mark.parametrize(
    ("path", "working", "holding"),
    [
        ("connections.peak.store.client", "is counted at the barriers", "is counted at the barriers"),
        ("connections.steady.store.client", "is counted at the barriers", "is counted at the barriers"),
        (
            "operations.log_on.response_ms.p95",
            "in which nobody comes or goes",
            "in which nobody comes or goes",
        ),
        (
            "operations.log_off.service_ms.max",
            "in which nobody comes or goes",
            "in which nobody comes or goes",
        ),
        ("set_up.connect_tcp.p95", "in which nobody comes or goes", "in which nobody comes or goes"),
        ("operations.send_message.response_ms.p95", "", HOLDING),
        ("generator.lag_ms.p99", "", HOLDING),
        ("operations.log_on.failed", "", ""),
        ("operations.poll_mailbox.failed", "", ""),
        ("generator.busy_peak", "", ""),
        ("connections.lost", "", ""),
        ("users.refused", "", ""),
    ],
)
def test_what_no_plateau_has_cannot_be_a_threshold(path, working, holding):
    for hold_only, why in ((False, working), (True, holding)):
        if why:
            with pytest.raises(ProfileError, match=f"threshold: '{path} < 9': .*{why}"):
                require_judgeable((parse("users.lost == 0"), parse(f"{path} < 9")), hold_only=hold_only)
        else:
            require_judgeable((parse(f"{path} < 9"),), hold_only=hold_only)


def test_thresholds_of_a_limit_set_add_to_what_may_not_fail():
    lossy = document(connections={"lost": 1})
    broken, _ = judge_plateau(lossy, (), Bounds(), (FAST,))
    assert broken == (f"{FAST} does not hold: it is 50", "1 virtual connections were lost")


@pytest.mark.parametrize(
    ("search", "verdict", "code", "stopped"),
    [
        (Search(ceiling=50, held=50), "PASS", 0, "ceiling"),
        (Search(ceiling=50, held=40, failed=REFUSED), "PASS", 0, "limit"),
        (Search(ceiling=50, held=40, failed=SLOW), "PASS", 0, "threshold"),
        (Search(ceiling=50, held=40, failed=LAGGED), "INVALID", 98, "generator"),
        (Search(ceiling=50, held=0, failed=msgspec.structs.replace(SLOW, users=1)), "FAIL", 99, "threshold"),
        (Search(ceiling=50, held=30, failed=REFUSED), "PASS", 0, "nothing"),
    ],
)
def test_an_answer_passes_unless_it_is_none_or_ours(search, verdict, code, stopped):
    judged = judge_search(search)
    assert (judged.verdict, judged.exit_code, stopped_by(search)) == (verdict, code, stopped)
    assert (MORE_GENERATOR in judged.reasons) == (verdict == "INVALID")


@pytest.mark.parametrize(
    ("search", "ceiling", "server", "agrees"),
    [
        (Search(ceiling=50, held=40, failed=REFUSED), PORTS, "CAS1", True),
        (Search(ceiling=50, held=40, failed=REFUSED), PORTS, None, True),
        (Search(ceiling=50, held=40, failed=REFUSED), PORTS, "CAS2", False),
        (
            Search(ceiling=50, held=40, failed=msgspec.structs.replace(REFUSED, limit="memory")),
            PORTS,
            "CAS1",
            False,
        ),
        (Search(ceiling=50, held=40, failed=SLOW), PORTS, None, None),
        (Search(ceiling=30, held=30), PORTS, None, None),
        (Search(ceiling=50, held=50), PORTS, None, False),
        (Search(ceiling=50, held=50), None, None, True),
        (Search(ceiling=50, held=40, failed=REFUSED), None, "CAS1", False),
        (Search(ceiling=50, held=40, failed=SLOW), None, None, None),
    ],
)
def test_the_plan_agrees_if_number_limit_and_server_do(search, ceiling, server, agrees):
    planned = compare("white-paper", ceiling, search, server)
    assert planned.agrees is agrees
    assert planned.users == (None if ceiling is None else 40)


def test_limits_that_moved_are_those_with_more_hits():
    before = [LimitReading("ports", "CAS1", 1, 2, 3), LimitReading("memory", "CAS1", 1, 2, 3)]
    hit = LimitReading("ports", "CAS1", 2, 2, 4)
    fresh = LimitReading("ports", "MBX1", 2, 2, 1)
    assert moved(before, [hit, before[1], fresh]) == [hit, fresh]


def test_reasons_name_the_limit_if_it_is_known():
    assert reasons_of(REFUSED) == ("1 refused: ports",)
    assert reasons_of(msgspec.structs.replace(REFUSED, limit="", broken=("slow",))) == (
        "1 refused: by no limit that is known",
        "slow",
    )


FOUND = Capacity(
    campaign="x",
    target="mock",
    verdict="PASS",
    reasons=(),
    exit_code=0,
    users=40,
    stopped_by="limit",
    limit="ports",
    server="CAS1",
    ceiling=50,
    startup=False,
    hold_only=False,
    plateau_s=1.0,
    evidence=Evidence(
        before=Reading(312, 327, 0),
        after=Reading(320, 327, 1),
        first_error="HTTP 503 RPC Error: 6ba",
        user=40,
    ),
    plan=Planned(topology="white-paper", users=40, limit="ports", server="CAS1", agrees=True),
    steps=(
        Step(time_s=1.0, users=32, admitted=32, verdict="held"),
        Step(time_s=2.0, users=41, admitted=40, verdict="limit", reasons=("1 refused: ports",)),
    ),
    generator=GENERATOR,
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "40 users pass, number 41 is refused: ports of CAS1 (HTTP 503 RPC Error: 6ba); "
            "the plan says 40, ports of CAS1: they agree.",
        ),
        (
            {"server": None, "evidence": None, "plan": None},
            "40 users pass, number 41 is refused: ports.",
        ),
        (
            {"limit": None, "server": None, "evidence": None, "plan": None},
            "40 users pass, number 41 is refused: by no limit that is known.",
        ),
        (
            {"stopped_by": "ceiling", "plan": Planned(topology="x", users=None, agrees=True)},
            "40 users pass, which is the ceiling: nothing stopped them; "
            "by the plan no limit ever stops them.",
        ),
        (
            {"stopped_by": "generator", "plan": None},
            "40 users pass, then the generator itself was the limit.",
        ),
        (
            {"stopped_by": "threshold", "plan": Planned(topology="x", users=50, limit="memory", agrees=None)},
            "40 users pass, then a threshold does not hold: 1 refused: ports; "
            "the plan says 50, memory: not reached.",
        ),
        (
            {"stopped_by": "nothing", "plan": None},
            "40 users passed before the search ended without an answer.",
        ),
    ],
)
def test_one_sentence_says_it(changes, said):
    assert found_text.sentence(msgspec.structs.replace(FOUND, **changes)) == said


@pytest.mark.parametrize("changes", [{}, {"evidence": None, "plan": None, "stopped_by": "ceiling"}])
def test_one_table_shows_it(changes):
    console = Console(width=100, record=True, file=io.StringIO())
    found_text.show(msgspec.structs.replace(FOUND, **changes), Path("results/x"), console)
    text = console.export_text()
    for part in ("users admitted", "40", "32 held", "41 limit, 40 in", "Results: results/x/"):
        assert part in text
    assert ("312 -> 320" in text) == (not changes)
