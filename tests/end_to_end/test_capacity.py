"""`loadgen capacity` finds by real connections what the plan says, and names what stopped it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.mock_organisation import running_mock

CACHED, ONLINE, LOADGEN = "outlook2007-cached-anywhere", "outlook2007-online-anywhere", "loadgen-2007-online"


def capacity(folder: Path, *words: str, code: int = 0) -> dict:
    command = [sys.executable, "-m", "loadgen", "capacity", *words, "--out", str(folder), "--json"]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=240)
    assert ended.returncode == code, ended.stderr.decode()
    return json.loads(ended.stdout)


def factor(gap: dict, client: str) -> float:
    [row] = [row for row in gap["rows"] if row["client"] == client]
    return row["overstatement"]


def test_port_exhaustion_in_small_shows_the_gap(tmp_path):
    """131 ports: 16 users with 8 connections each, 21 with 6, 65 with LoadGen's 2."""
    words = (
        "--gap",
        "--step",
        "30",
        "--limit-scale",
        "0.002",
        "--topology",
        "white-paper",
        "--startup",
        "off",
    )
    groups = [word for client in (CACHED, ONLINE) for word in ("--group", f"6:{client}:light")]
    gap = capacity(tmp_path, *words, *groups, "--set", "limits.context_handles=0")
    found = {
        row["client"]: (row["users"], row["planned"], row["limit"], row["server"]) for row in gap["rows"]
    }
    assert found == {
        LOADGEN: (65, 65, "ports", "CAS1"),
        CACHED: (16, 16, "ports", "CAS1"),
        ONLINE: (21, 21, "ports", "CAS1"),
    }
    for row, per_user in zip(gap["rows"], (2, 8, 6), strict=True):
        counted = row["connections"]
        assert counted["client_to_cas"] == counted["cas_total"] == per_user * row["users"]
        assert counted["directory"] == counted["dsproxy"] == (2 * row["users"] if per_user > 2 else 0)
    assert factor(gap, CACHED) == pytest.approx(4, abs=0.1)
    assert factor(gap, ONLINE) == pytest.approx(3, abs=0.1)


def test_an_interrupted_gap_tells_what_it_has_found(tmp_path):
    """LoadGen's search has ended, and the next is on its way: its mock starts, or users come."""
    words = ["--gap", "--group", f"6:{CACHED}:light", "--topology", "white-paper", "--startup", "off"]
    words += ["--limit-scale", "0.0005", "--step", "20", "--out", str(tmp_path), "--json"]
    command = [sys.executable, "-m", "loadgen", "capacity", *words]
    search = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for line in search.stderr:
            if line.startswith(CACHED):
                search.send_signal(signal.SIGINT)
                break
        told, said = search.communicate(timeout=100)
    finally:
        search.kill()
        search.wait()
    assert search.returncode == 130, said
    first, *rest = json.loads(told)["rows"]
    assert (first["client"], first["users"], first["limit"]) == (LOADGEN, 16, "ports")
    assert len(rest) <= 1


def test_a_target_that_runs_already_is_searched_while_users_work(tmp_path):
    """50 ports: 6 users with 8 connections each. Nothing is known of its limits but what its counters say."""
    with running_mock(tmp_path, "small", "--set", "limits.ports=50", users=20) as mock:
        found = capacity(
            tmp_path,
            *("--target", f"mock={mock.organisation.counters_url}", "--users", "20", "--client", CACHED),
            *("--profile", "light", "--startup", "off", "--speed", "480", "--plateau", "2s"),
        )
        mock.wait_until_idle()
    assert (found["users"], found["stopped_by"], found["limit"], found["server"]) == (
        6,
        "limit",
        "ports",
        "CAS1",
    )
    assert (found["ceiling"], found["plan"], found["exit_code"]) == (20, None, 0)
    evidence = found["evidence"]
    assert evidence["before"]["of"] == evidence["after"]["of"] == 50
    assert evidence["after"]["hits"] > evidence["before"]["hits"]
    assert evidence["after"]["in_use"] >= 48
    assert "RPC Error: 6ba" in evidence["first_error"]
    assert found["connections"]["client_to_cas"]["kernel"] == 48
    folder = next(tmp_path.glob("*-command-line"))
    assert json.loads((folder / "capacity.json").read_text(encoding="utf-8")) == found
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["verdict"] == "PASS"
    events = (folder / "events.jsonl").read_text(encoding="utf-8")
    assert events.count('"plateau"') == len(found["steps"])


def test_a_real_target_over_https_is_searched_and_its_exporter_names_the_limit(tmp_path):
    """30 ports: 5 users with 6 connections each. Known are address, accounts, and an exporter."""
    tls = ("--set", "http.tls=true", "--set", "limits.ports=30")
    with running_mock(tmp_path, "small", *tls, users=10) as mock:
        users_file, name = tmp_path / "users.csv", "cas1.contoso.test"
        accounts = [mock.account(index) for index in range(10)]
        lines = [f"{account.smtp},{account.credentials.password}" for account in accounts]
        users_file.write_text("\n".join(["mailbox,password", *lines]))
        users_file.chmod(0o600)
        found = capacity(
            tmp_path,
            *("--target", f"https://{name}:{mock.port}", "--resolve", f"{name}={mock.host}"),
            *("--ca-file", mock.proxy.tls_settings.ca_file, "--users-file", str(users_file)),
            *("--counters-url", f"{mock.organisation.counters_url}/metrics"),
            *("--users", "10", "--client", ONLINE, "--startup", "off", "--hold-only", "--plateau", "1s"),
        )
        mock.wait_until_idle()
    assert (found["users"], found["ceiling"], found["plan"]) == (5, 10, None)
    assert (found["stopped_by"], found["limit"], found["server"]) == ("limit", "ports", "CAS1")
    before, after = found["evidence"]["before"], found["evidence"]["after"]
    assert before["of"] == after["in_use"] == 30
    assert after["hits"] > before["hits"]
    assert found["connections"]["client_to_cas"]["kernel"] == 30


def test_a_ceiling_is_never_passed(tmp_path):
    found = capacity(
        tmp_path,
        *("--group", f"3:{ONLINE}:light", "--group", f"1:{CACHED}:light", "--topology", "small"),
        *("--ceiling", "7", "--step", "4", "--hold-only", "--plateau", "1s", "--startup", "off"),
    )
    assert (found["users"], found["stopped_by"], found["exit_code"]) == (7, "ceiling", 0)
    assert [step["users"] for step in found["steps"]] == [4, 7]
    assert [group["users"] for group in found["groups"]] == [5, 2]
    assert found["plan"]["agrees"] is True
