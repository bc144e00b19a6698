"""Runs that cannot come to anything end fast, in one line, and leave nothing behind that they had started."""

import os
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from tests.end_to_end.mock_organisation import running_mock

NOBODY = "127.52.0.9"
GROUP = ("--group", "6:outlook2007-online-anywhere:heavy")
SHORT = ("--speed", "1200", "--duration", "30s", "--ramp", "1s", "--startup-hold", "2s")
FILE = "mailbox,password,server,dn,display_name\n" + "".join(
    f"u{n}@example.test,secret,MBX1,/o=E/cn=u{n},User {n}\n" for n in range(6)
)


@pytest.fixture
def run(tmp_path):
    def start(*words: str, **environment: str) -> tuple[int, str, float]:
        """Exit code, all that was said, and how long it took."""
        command = [sys.executable, "-m", "loadgen", "run", *GROUP, *SHORT, *words]
        if "--out" not in words:
            command += ["--out", str(tmp_path / "results")]
        began = monotonic()
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment
        )
        return ended.returncode, ended.stdout + ended.stderr, monotonic() - began

    return start


@pytest.fixture
def users_file(tmp_path) -> str:
    path = tmp_path / "users.csv"
    path.write_text(FILE)
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--source-ip", "203.0.113.9"), "source_ip: 203.0.113.9 is not an address of this machine"),
        (("--out", "/proc/nowhere"), "out: /proc/nowhere: No such file or directory; give another --out"),
        (
            ("--target", "https://192.0.2.1", "--autodiscover", "off"),
            "authorised: https://192.0.2.1 is another machine (192.0.2.1)",
        ),
    ],
    ids=["source address", "results", "permission"],
)
def test_what_is_wrong_here_is_told_before_anything_starts(run, words, problem):
    code, said, _ = run(*words)
    assert (code, said.count("\n")) == (2, 1), said
    assert problem in said


def test_a_mock_that_is_not_there(run):
    code, said, _ = run("--target", f"mock=http://{NOBODY}:18090")
    assert (code, said.count("\n")) == (3, 1)
    assert f"http://{NOBODY}:18090/organisation: Connect" in said
    assert said.endswith("is the mock running?\n")
    assert "ssl" not in said


def test_a_target_that_is_not_there_costs_no_drain(run, users_file):
    target = ("--target", f"https://{NOBODY}:18443", "--users-file", users_file)
    code, said, _ = run(*target)
    assert code == 3
    text = " ".join(said.split())
    assert f"TCP: {NOBODY}:18443: Connection refused." in text
    assert "Check the port, and that the web server (or its load balancer) runs" in text
    assert "drain" not in said


def test_a_run_against_a_real_target_ends_by_its_own_condition(run, tmp_path: Path):
    """``abort_on`` is judged by what clients see: a real target has no counters of ours."""
    with running_mock(tmp_path, users=6) as mock:
        users = ("--users-pattern", "user{index:05d}@contoso.test", "--users-range", "0-5")
        target = ("--target", f"http://{mock.host}:{mock.port}", *users)
        code, said, seconds = run(
            *target,
            *("--abort-on", "users.refused <= 5", "--abort-on", "operations.send_message.done < 3"),
            LOADGEN_PASSWORD=mock.organisation.accounts.password,
        )
        mock.wait_until_idle()
    assert code in (98, 99), said
    assert "operations.send_message.done < 3" in " ".join(said.split())
    assert seconds < 60  # the schedule and its drain have not been waited for
