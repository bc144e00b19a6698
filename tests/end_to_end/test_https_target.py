"""A real target at its most secured: https, NTLM everywhere, sealed calls, two addresses behind one name."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.end_to_end.mock_organisation import MockOrganisation, running_mock

USERS = 8
TWO_CAS = """
extends = "default"
[http]
tls = true
[security]
http = ["ntlm"]
rpc_minimum = "privacy"
[[client_access]]
name = "CAS1"
address = "127.0.10.1"
[[client_access]]
name = "CAS2"
address = "127.0.10.2"
"""
SECURED = ("--auth", "ntlm", "--rpc-security", "privacy")
SHORT = ("--speed", "1200", "--duration", "5s", "--ramp", "1s", "--startup-hold", "2s")
PATIENT = ("--unfinished-per-user", "20", "--invalid-lag", "10s")


@pytest.fixture(scope="module")
def mock(tmp_path_factory) -> Iterator[MockOrganisation]:
    folder = tmp_path_factory.mktemp("mock")
    topology = folder / "two-cas.toml"
    topology.write_text(TWO_CAS)
    with running_mock(folder, "--", str(topology), users=USERS) as started:
        yield started


@pytest.fixture(scope="module")
def hashes(mock, tmp_path_factory) -> Path:
    """A users file that knows addresses and NT hashes, and no password."""
    path = tmp_path_factory.mktemp("users") / "users.csv"
    accounts = [mock.account(index) for index in range(USERS)]
    lines = [f"{account.smtp},{account.credentials.key.hex()}" for account in accounts]
    path.write_text("\n".join(["mailbox,nt_hash", *lines]) + "\n")
    path.chmod(0o600)
    return path


def run(tmp_path: Path, *words: str) -> tuple[int, str, list[Path]]:
    """Exit code, all that was said, and the folders of results."""
    out = tmp_path / "results"
    command = [sys.executable, "-m", "loadgen", "run", "--out", str(out), *words]
    environment = {key: value for key, value in os.environ.items() if key != "LOADGEN_PASSWORD"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=environment)
    return ended.returncode, ended.stdout + ended.stderr, sorted(out.glob("*"))


def secured(mock: MockOrganisation, hashes: Path, name: str = "cas1.contoso.test") -> list[str]:
    """The options of a run at both addresses under one name."""
    given = [f"--resolve={name}={cas.address}" for cas in mock.organisation.cas]
    trust = mock.proxy.tls_settings.ca_file
    users = ["--users-file", str(hashes), "--group", f"{USERS}:outlook2007-online-anywhere:heavy"]
    return ["--target", f"https://{name}:{mock.port}", "--ca-file", trust, *given, *SECURED, *users]


def test_a_campaign_over_https_with_nothing_but_nt_hashes(mock, hashes, tmp_path):
    code, said, folders = run(tmp_path, *secured(mock, hashes), *SHORT, *PATIENT)
    assert code == 0, said
    assert "dialect: exchange2007, since Autodiscover tells version 8.1.240" in said
    summary = json.loads((folders[0] / "summary.json").read_text())
    assert summary["verdict"] == "PASS"
    for moment in ("peak", "steady"):
        counted = summary["connections"][moment]["client_to_cas"]
        assert counted["expected"] == counted["client"] == counted["kernel"] > 0
    assert summary["operations"]["deliver_message"]["done"] > 0
    roles = mock.counters()["roles"]
    backends = "RPC/HTTP Proxy\\Number of Back-End Connection Attempts per Second"
    assert min(roles[name][backends] for name in ("CAS1", "CAS2")) >= USERS  # each has its half of the users


def test_a_certificate_for_another_name(mock, hashes, tmp_path):
    before = monotonic()
    code, said, _ = run(tmp_path, *secured(mock, hashes, "mail.example.org"), *SHORT)
    assert (code, said.count("\n")) == (3, 1), said
    assert said.startswith("Error: TLS: the certificate is for cas1.contoso.test, cas1, cas2.contoso.test")
    assert "not for mail.example.org" in said
    assert monotonic() - before < 60
