"""Each built-in scenario in a small version ends as docs/scenarios.md says, and for the reason that it shows.

What is asserted are verdicts, counts and limits, never times: how fast this machine is does not matter.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadgen.workload.library import library_root

PATIENCE_S = 150
QUICK = ("--ramp", "1s", "--duration", "1s", "--invalid-lag", "10s", "--invalid-busy", "1")
CACHED = "outlook2007-cached-anywhere"
CLIENTS = library_root() / "campaign" / "clients"

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def scenario(tmp_path: Path) -> Run:
    """Plays a scenario with options of ``loadgen run``: its exit code and its ``summary.json``."""

    def play(name: str, *options: str, users: int = 0, client: str | Path = CACHED) -> tuple[int, dict]:
        group = ("--users", str(users), "--client", str(client), "--profile", "light") if users else ()
        command = (sys.executable, "-m", "loadgen", "run", name, *QUICK, *group, *options, "--json")
        done = subprocess.run(
            [*command, "--out", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    return play


def refused(summary: dict[str, Any]) -> dict[str, int]:
    """Users who were refused, by limit."""
    return {limit: users for limit, users in summary["users"]["refused_by_limit"].items() if users}


def hit(summary: dict[str, Any]) -> set[tuple[str, str]]:
    return {(limit["name"], limit["server"]) for limit in summary["limits"]}


def counted(summary: dict[str, Any], column: str) -> set[int]:
    """What there should be in a column while all are there, and what kernel and mock found."""
    cell = summary["connections"]["steady"][column]
    return {cell["expected"], cell["kernel"], cell["mock"]}


def test_recycle_storm(scenario: Run) -> None:
    """64 requests come back within five seconds, and ten of them are taken in a second."""
    code, summary = scenario(
        *("recycle-storm", "--limit-scale", "0.002", "--ramp", "9s", "--duration", "35s", "--speed", "1"),
        *("--set", "limits.requests_per_s=10"),
        *("--set", "limits.recycle_after_s=24", "--set", "limits.recycle_grace_s=1"),
        users=8,
    )
    outage, *_ = summary["outages"]
    assert code == 99
    assert outage["lost"] >= outage["admitted_before"] > 0
    assert outage["connections_lost"] >= outage["lost"]
    assert outage["refused_by_limit"].keys() <= {"request_queue"}
    assert {("request_queue", "CAS1"), ("worker_recycling", "CAS1")} <= hit(summary)


def test_gc_loss(scenario: Run) -> None:
    """Half of the Outlooks use the catalog that goes; they come back over the other one."""
    code, summary = scenario(
        *("gc-loss", "--duration", "35s", "--speed", "1"),
        *("--set", "faults.planned.0.at_s=20", "--set", "faults.planned.0.for_s=3"),
        *("--group", "4:outlook2007-online-anywhere:light", "--group", "2:loadgen-2007-online:light"),
    )
    [outage] = summary["outages"]
    assert (code, hit(summary)) == (99, set())
    assert (outage["admitted_before"], outage["lost"], outage["connections_lost"]) == (6, 2, 2)
    assert outage["recovered_after_s"] is not None
    assert outage["refused_by_limit"] == {}
    assert (summary["users"]["reconnects"], summary["users"]["lost"]) == (2, 0)


def test_direct_gc_referral(scenario: Run) -> None:
    code, summary = scenario("direct-gc-referral", users=6, client="outlook2007-online-anywhere")
    assert (code, summary["reasons"]) == (0, [])
    assert counted(summary, "cas_to_gc") == counted(summary, "directory") == {12}
    assert counted(summary, "cas_to_dsproxy") == counted(summary, "dsproxy") == {0}


def test_direct_gc_referral_undone(scenario: Run) -> None:
    """65 ports of a mailbox server are enough for 32 directory connections; two users are too many."""
    code, summary = scenario(
        *("direct-gc-referral", "--limit-scale", "0.001", "--set", "referral.directory=dsproxy"),
        users=34,
        client="outlook2007-online-anywhere",
    )
    assert (code, refused(summary)) == (99, {"ports": 2})
    assert hit(summary) == {("ports", "MBX1")}


def test_multi_ip(scenario: Run) -> None:
    code, summary = scenario("multi-ip", "--limit-scale", "0.001", users=12)
    assert (code, summary["reasons"]) == (0, [])
    assert counted(summary, "cas_total") == {96}


def test_multi_ip_undone(scenario: Run) -> None:
    """65 ports of one address are enough for eight users."""
    one = 'client_access.0.source_addresses=["127.0.10.1"]'
    code, summary = scenario("multi-ip", "--limit-scale", "0.001", "--set", one, users=12)
    assert (code, refused(summary), hit(summary)) == (99, {"ports": 4}, {("ports", "CAS1")})


def test_session_pile_up(scenario: Run) -> None:
    """Two sessions for each log on, and four in all."""
    code, summary = scenario(
        *("session-pile-up", "--duration", "8s", "--session-length", "6m"),
        *("--set", "limits.mapi_sessions_per_user=4"),
        users=6,
        client=CLIENTS / "outlook2007-cached-vanishing.toml",
    )
    assert (code, refused(summary), hit(summary)) == (99, {"mapi_sessions": 6}, {("mapi_sessions", "MBX1")})
    assert (summary["users"]["admitted_peak"], summary["outages"]) == (6, [])


def test_second_mailbox(scenario: Run) -> None:
    """65 ports are enough for six users with ten connections."""
    code, summary = scenario(
        *("second-mailbox", "--limit-scale", "0.001", "--logons-per-s", "4"),
        users=8,
        client=CLIENTS / "outlook2007-cached-second-mailbox.toml",
    )
    assert (code, refused(summary), hit(summary)) == (99, {"ports": 2}, {("ports", "CAS1")})
    assert counted(summary, "cas_total") == {60}
    assert counted(summary, "store") == {36}


def test_long_hold(scenario: Run) -> None:
    code, summary = scenario("long-hold", "--startup-hold", "2s", "--hold", "2s", users=6)
    assert (code, summary["reasons"], summary["connections"]["lost"]) == (0, [], 0)
    assert counted(summary, "client_to_cas") == {48}


def test_reverse_proxy(scenario: Run) -> None:
    """500 kB of non-paged pool are enough for five users."""
    code, summary = scenario("reverse-proxy", "--limit-scale", "0.002", "--logons-per-s", "4", users=7)
    assert (code, refused(summary)) == (99, {"nonpaged_pool": 2})
    assert hit(summary) == {("nonpaged_pool", "ISA1")}
