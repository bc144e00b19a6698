"""docs/limits.md names every counter of the mock, and no other."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"

ONLY_IF_ASKED_FOR = {
    "HTTP Service Request Queues(DefaultAppPool)\\CurrentQueueSize",
    "HTTP Service Request Queues(DefaultAppPool)\\RejectedRequests",
    "MSExchangeIS\\% Connections",
    "Mock\\Reverse Proxy Failed Connects",
    "Mock\\ValidPorts Failed Rereads",
}
"""Counters of limits and servers that the default topology does without."""


def test_every_counter_is_explained(mock):
    section = PAGE.read_text(encoding="utf-8").partition("\n## Counters\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    explained = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    counted = {name for role in mock.counters()["roles"].values() for name in role}
    assert len(explained) == len(set(explained))
    assert set(explained) - ONLY_IF_ASKED_FOR == counted - ONLY_IF_ASKED_FOR
    assert set(explained) >= ONLY_IF_ASKED_FOR
