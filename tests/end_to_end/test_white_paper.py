"""Both connection tables of the white paper and LoadGen's, row by row, out of runs, as the kernel counts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE_S = 100
FEWEST = 5
"""Users among whom a message has four recipients."""
COLUMNS = (
    "cas_to_stores",
    "cas_to_dsproxy",
    "cas_total",
    "store",
    "dsproxy",
    "mailbox_total",
    "public_store",
    "directory",
)
"""Those of the white paper's tables."""
INSIDE = {
    "outlook2003-online": (0, 0, 0, 1, 0, 1, 1, 1),
    "outlook2003-cached": (0, 0, 0, 1, 0, 1, 1, 1),
    "outlook2007-online": (0, 0, 0, 1, 0, 1, 1, 1),
    "outlook2007-cached": (0, 0, 0, 2, 0, 2, 1, 1),
    "loadgen-2003-online-inside": (0, 0, 0, 1, 0, 1, 0, 0),
    "loadgen-2003-cached-inside": (0, 0, 0, 1, 0, 1, 0, 0),
    "loadgen-2007-online-inside": (0, 0, 0, 1, 0, 1, 0, 0),
}
"""RPC over TCP; where the white paper says N/A there is nothing."""
OUTSIDE = {
    "outlook2003-online-anywhere": (4, 2, 6, 2, 2, 4, 2, 2),
    "outlook2003-cached-anywhere": (4, 2, 6, 2, 2, 4, 2, 2),
    "outlook2007-online-anywhere": (4, 2, 6, 2, 2, 4, 2, 2),
    "outlook2007-cached-anywhere": (6, 2, 8, 4, 2, 6, 2, 2),
    "loadgen-2003-online": (2, 0, 2, 2, 0, 2, 0, 0),
    "loadgen-2003-cached": (2, 0, 2, 2, 0, 2, 0, 0),
    "loadgen-2007-online": (2, 0, 2, 2, 0, 2, 0, 0),
}
"""RPC over HTTP."""
AT_START_UP = {"outlook2007-cached": 1 / 2, "outlook2003": 1 / 3, "outlook2007-online": 1 / 3, "loadgen": 0}
"""By how much the connections of clients are more."""


def counted_in_a_run(folder: Path, users: int, *clients: str) -> dict[str, dict[str, dict[str, int]]]:
    """The connections at both barriers of a short run with so many users of each type."""
    words = [word for client in clients for word in ("--group", f"{users}:{client}:light")]
    words += ["--ramp", "0s", "--startup-hold", "0s", "--speed", "1440", "--duration", "1s"]
    words += ["--invalid-lag", "10s", "--invalid-busy", "1", "--unfinished-per-user", "100"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "loadgen", "run", *words, "--out", str(folder)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (results,) = folder.iterdir()
    counted = json.loads((results / "summary.json").read_text(encoding="utf-8"))["connections"]
    for cell in (*counted["steady"].values(), *counted["peak"].values()):
        assert {cell["kernel"], cell["mock"]} == {cell["expected"]}
        assert cell["client"] in (None, cell["expected"])
    return counted


@pytest.mark.parametrize("table", [INSIDE, OUTSIDE], ids=["inside", "outside"])
def test_a_table_comes_out_of_a_run(table, tmp_path):
    steady = counted_in_a_run(tmp_path, 3, *table)["steady"]
    sums = [3 * sum(column) for column in zip(*table.values(), strict=True)]
    assert [steady[column]["kernel"] for column in COLUMNS] == sums
    assert bool(steady["client_to_servers"]["kernel"]) == (table is INSIDE)
    assert bool(steady["client_to_cas"]["kernel"]) == (table is OUTSIDE)


@pytest.mark.prove
@pytest.mark.parametrize(("client", "row"), [*INSIDE.items(), *OUTSIDE.items()])
def test_each_row_comes_out_of_a_run(client, row, tmp_path):
    counted = counted_in_a_run(tmp_path, FEWEST, client)
    steady, peak = counted["steady"], counted["peak"]
    assert [steady[column]["kernel"] for column in COLUMNS] == [FEWEST * each for each in row]
    opened = "client_to_servers" if client in INSIDE else "client_to_cas"
    of_clients = row[3] + row[6] + row[7] if client in INSIDE else row[2]
    assert [steady[opened][party] for party in ("client", "kernel", "mock")] == [FEWEST * of_clients] * 3
    more = next(share for name, share in AT_START_UP.items() if client.startswith(name))
    assert peak[opened]["kernel"] == round(FEWEST * of_clients * (1 + more))
