"""The white paper's argument at a twentieth of its size, by the command that everybody uses.

Each client type alone meets the ports of the client access server; the kernel counts the connections then.
PROVE_PORTS_SCALE makes it larger.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadgen.client.client_type import ClientType
from loadgen.workload import library
from loadgen.workload.connection_model import expected
from tests.prove.conftest import Claims

SCALE = float(os.environ.get("PROVE_PORTS_SCALE", "0.05"))
PORTS = 65_535
CACHED, ONLINE, LOADGEN = "outlook2007-cached-anywhere", "outlook2007-online-anywhere", "loadgen-2007-online"
AT_THE_CAS = {
    LOADGEN: 2,
    CACHED: 8,
    ONLINE: 6,
    "outlook2003-online-anywhere": 6,
    "outlook2003-cached-anywhere": 6,
}
"""Connections of a user there (the white paper's tables)."""
FACTORS = {name: connections / AT_THE_CAS[LOADGEN] for name, connections in AT_THE_CAS.items()}
PER_DSPROXY = 2
"""Ports of DSProxy that a directory connection takes."""
SOURCES = [f"127.0.10.{number}" for number in range(101, 106)]
"""With five addresses the client access server has ports for all whom DSProxy serves."""
PATIENCE_S = 1800

pytestmark = [pytest.mark.prove, pytest.mark.timeout(PATIENCE_S)]


def capacity(folder: Path, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "loadgen", "capacity", "port-exhaustion", "--limit-scale", str(SCALE)]
    ended = subprocess.run(
        [*command, *words, "--out", str(folder), "--json"],
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ended.stdout, ended.stderr.decode()
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def ports(scale: float) -> int:
    return int(PORTS * scale + 1e-9)


def model(client: str, users: int) -> dict[str, int]:
    return expected([(library.read("client", client, ClientType), False, users)])


def test_ports_of_the_client_access_server(tmp_path: Path, claims: Claims) -> None:
    gap = capacity(tmp_path, "--gap")
    claims.note("ports of a source address", f"{ports(SCALE):,} ({PORTS:,} x {SCALE:g})")
    assert {row["client"] for row in gap["rows"]} == set(AT_THE_CAS)
    for row in gap["rows"]:
        client, users = row["client"], row["users"]
        wanted = ports(SCALE) // AT_THE_CAS[client]
        claims.claim(
            f"{client}: users admitted",
            f"{users:,} of {wanted:,}; stopped by {row['limit']} of {row['server']}",
            holds=users == wanted and (row["limit"], row["server"]) == ("ports", "CAS1"),
        )
        wrong = {
            column: count
            for column, count in row["connections"].items()
            if count is not None and count != model(client, users)[column]
        }
        counted = row["connections"]["client_to_cas"]
        claims.claim(
            f"{client}: kernel's count",
            f"{counted:,} to the CAS and as many behind it"
            + (f"; not the model's: {wrong}" if wrong else ""),
            holds=counted is not None and not wrong,
        )
        claims.claim(
            f"{client}: LoadGen overstates",
            f"{row['overstatement']:.3f} times, {FACTORS[client]:g} by the white paper",
            holds=abs(row["overstatement"] / FACTORS[client] - 1) < 1 / users + 0.01,
        )
    assert claims.broken == []


def test_ports_of_dsproxy(tmp_path: Path, claims: Claims) -> None:
    """32,767 users with a directory connection for each address of DSProxy, times the scale."""
    found = capacity(
        tmp_path,
        *("--group", f"1000:{ONLINE}:light", "--hold-only", "--plateau", "2s"),
        *("--set", f"client_access.0.source_addresses={SOURCES}", "--set", "client_access.0.processes=2"),
    )
    wanted = ports(SCALE) // PER_DSPROXY
    claims.claim(
        "directory users of one DSProxy address",
        f"{found['users']:,} of {wanted:,}; stopped by {found['limit']} of {found['server']}",
        holds=(found["users"], found["limit"], found["server"]) == (wanted, "ports", "MBX1"),
    )
    in_use = found["connections"]["directory"]["kernel"]
    claims.claim(
        "connections from DSProxy, by the kernel's count",
        f"{in_use:,} of {ports(SCALE):,} ports",
        holds=in_use == PER_DSPROXY * found["users"],
    )
    claims.claim("the plan agrees", str(found["plan"]["users"]), holds=found["plan"]["agrees"] is True)
    assert claims.broken == []
