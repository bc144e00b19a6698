"""`loadgen compare` tells nothing from nothing, and ten per cent from nothing.

Each pair is two runs of one campaign on two mocks, side by side, so that whatever else this machine does
befalls both. Stores draw a time for each call, and go on drawing from pair to pair; slow ones take a tenth
more. This takes a machine that has nothing else to do: its noise would be larger than what is looked for.
PROVE_COMPARE_PAIRS and PROVE_COMPARE_SLOW_PAIRS make it smaller.
"""

import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.prove.conftest import Claims

PAIRS = int(os.environ.get("PROVE_COMPARE_PAIRS", "40"))
SLOW_PAIRS = int(os.environ.get("PROVE_COMPARE_SLOW_PAIRS", "10"))
MOST_FALSE_ALARMS = 0.1
FEWEST_REPORTED = 0.9
PATIENCE_S = 120
"""For one pair."""

USERS = 400
SENDS_PER_S = 9
DURATION_S = 16
"""By a pilot: users are busy for a fiftieth of the time, so few sends wait for their turn. With 200 users 4 %
did, and p95 was now of those, now of the store. There are about 140 sends, where p95 takes 100 at least."""
SLOWDOWN = 1.1
STORES = {
    "distribution": "lognormal",
    "median_ms": 70,
    "sigma": 0.05,
    "services": '["store"]',
    "calls": "EcDoRpcExt2",
}
PROFILE = """\
title = "Sent and received, hardly read: users are seldom busy, so that what is timed is the store"
sent_per_day = 40
received_per_day = 160
read_per_day = 0
deleted_per_day = 0
message_size = 2_000
"""
CAMPAIGN = """\
title = "The store's time, again and again"
duration = "{duration}s"
speed = {speed}
ramp = "8s"
startup = "off"
startup_hold = "0s"
seed = {seed}
workers = 1
invalid_lag = "1s"
invalid_busy = 1.0
unfinished_per_user = 100

[[group]]
users = {users}
client = "loadgen-2007-online"
profile = "{profile}"
"""
pytestmark = [pytest.mark.prove, pytest.mark.timeout((PAIRS + SLOW_PAIRS) * PATIENCE_S)]


def test_nothing_is_told_from_nothing(tmp_path: Path, claims: Claims) -> None:
    found = list(compared(tmp_path, pairs=PAIRS, first_seed=1))
    note_findings(found, claims)
    alarms = sum(each["outcome"] == "differs" for each in found)
    claims.claim(
        f"{PAIRS} pairs of runs on equal mocks: false alarms",
        f"{alarms}, at most {MOST_FALSE_ALARMS * PAIRS:g}",
        holds=alarms <= MOST_FALSE_ALARMS * PAIRS,
    )
    assert claims.broken == []


def test_ten_per_cent_are_told_from_nothing(tmp_path: Path, claims: Claims) -> None:
    found = list(compared(tmp_path, pairs=SLOW_PAIRS, first_seed=1001, slowdown=SLOWDOWN))
    note_findings(found, claims)
    reported = sum(each["outcome"] == "differs" and each["ratio"] > 1 for each in found)
    fewest = math.floor(FEWEST_REPORTED * SLOW_PAIRS)
    claims.claim(
        f"{SLOW_PAIRS} pairs with a store {SLOWDOWN - 1:.0%} slower: reported",
        f"{reported}, at least {fewest}",
        holds=reported >= fewest,
    )
    assert claims.broken == []


def note_findings(found: list[dict[str, Any]], claims: Claims) -> None:
    outcomes = Counter(each["outcome"] for each in found)
    claims.note("what was said", ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()))
    changes = sorted(100 * (each["ratio"] - 1) for each in found if each["ratio"] is not None)
    reaches = sorted(50 * (each["high"] - each["low"]) for each in found if each["high"] is not None)
    if changes and reaches:
        middle = changes[len(changes) // 2]
        claims.note(
            "p95 of send_message changed by",
            f"{changes[0]:+.1f} to {changes[-1]:+.1f} %, median {middle:+.1f} %",
        )
        claims.note("known to", f"± {reaches[len(reaches) // 2]:.1f} % in the middle of all pairs")


def compared(folder: Path, *, pairs: int, first_seed: int, slowdown: float = 1.0) -> Iterator[dict[str, Any]]:
    """What is said of the default metric of each pair."""
    with (
        store_of(folder / "a", seed=2 * first_seed, slowdown=1.0) as one,
        store_of(folder / "b", seed=2 * first_seed + 1, slowdown=slowdown) as other,
    ):
        for pair in range(pairs):
            campaign = written_campaign(folder / f"pair-{pair}", first_seed + pair)
            yield compared_pair(campaign, (one, other))


def compared_pair(campaign: Path, mocks: Sequence[MockOrganisation]) -> dict[str, Any]:
    places = [campaign.with_name(side) for side in "ab"]
    runs = [run_of(campaign, mock, place) for mock, place in zip(mocks, places, strict=True)]
    for run in runs:
        _, said = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 0, said
    sides = [str(folder) for place in places for folder in place.iterdir()]
    command = [sys.executable, "-m", "loadgen", "compare", *sides, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    (finding,) = json.loads(done.stdout)["asked"]
    return dict(finding)


def written_campaign(folder: Path, seed: int) -> Path:
    folder.mkdir()
    profile = folder / "sending.toml"
    profile.write_text(PROFILE, encoding="utf-8")
    speed = SENDS_PER_S * 8 * 3600 / (40 * USERS)
    text = CAMPAIGN.format(duration=DURATION_S, speed=speed, seed=seed, users=USERS, profile=profile)
    campaign = folder / "campaign.toml"
    campaign.write_text(text, encoding="utf-8")
    return campaign


def store_of(folder: Path, *, seed: int, slowdown: float) -> AbstractContextManager[MockOrganisation]:
    """A mock whose stores take their time."""
    folder.mkdir()
    settings = {**STORES, "slowdown": slowdown, "seed": seed}
    changes = (word for key, value in settings.items() for word in ("--set", f"faults.{key}={value}"))
    return running_mock(folder, *changes, users=USERS)


def run_of(campaign: Path, mock: MockOrganisation, folder: Path) -> subprocess.Popen[str]:
    target = f"mock={mock.organisation.counters_url}"
    command = [sys.executable, "-m", "loadgen", "run", str(campaign), "--target", target]
    command += ["--out", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
