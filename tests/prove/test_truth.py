"""What a run says of latency is what happened: delays that the mock drew, a stall, overload on either side.

Each run is one `loadgen run` against a mock whose delays or stalls are known. PROVE_TRUTH_USERS and
PROVE_TRUTH_SECONDS make the first one smaller; from 100,000 delays on it claims their percentiles to p99.99.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadgen.measure import latency_log
from loadgen.measure.sparse import SparseHistogram, highest_us
from loadgen.workload.arrival import Schedule
from loadgen.workload.campaign import load_campaign, populate
from mock_server.faults import DelayReport
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.prove.conftest import Claims
from tests.prove.processes import tree

USERS = int(os.environ.get("PROVE_TRUTH_USERS", "700"))
SECONDS = int(os.environ.get("PROVE_TRUTH_SECONDS", "150"))
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)
FEWEST_BEYOND = 9.99
"""So many values have to lie beyond a percentile for it to be more than the chance of one."""
WITHIN_SHARE, WITHIN_MS = 0.01, 1.0
LOGONS_PER_S = 30
LOGNORMAL = {"distribution": "lognormal", "median_ms": 400, "sigma": 0.2, "calls": "polls"}
"""Few are longer than the second until the next poll, which would then be left out."""

STALL_AT_S, STALL_S = 3.0, 4.0
STALL_USERS = 8
SENDS_PER_S = 10
"""Of all users: so each has some five sends that wait for the stall, behind the one that is under way."""
EDGE_S = 0.25
"""How well it is known when the stall and the schedule began."""
CATCH_UP_S = 1.0
"""What waits for the stall is done one after the other; the last of it is done so much later at most."""
PATIENCE_S = 120
NOTHING = """\
title = "Nothing: users only poll"
sent_per_day = 0
received_per_day = 0
read_per_day = 0
deleted_per_day = 0
"""
SENDING = """\
title = "Sent and received, never read"
sent_per_day = 100
received_per_day = 400
read_per_day = 0
deleted_per_day = 0
message_size = 2_000
"""
CAMPAIGN = """\
title = "How true latency is"
duration = "{duration}s"
speed = {speed}
ramp = "{ramp}s"
startup = "off"
startup_hold = "0s"
seed = 6
workers = 1
unfinished_per_user = {unfinished}
invalid_lag = "{invalid_lag}"

[[group]]
users = {users}
client = "{client}"
profile = "{profile}"
"""
pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]


@dataclass
class Run:
    """A run that is under way, or has ended."""

    out: Path
    process: subprocess.Popen[str]

    @property
    def folder(self) -> Path:
        (folder,) = self.out.iterdir()
        return folder

    @property
    def record(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        return document

    def wait_for(self, phase: str) -> float:
        """When a phase began, on the monotonic clock; raises if the run ends before."""
        while not (started_s := [each for each in self._phases() if each[0] == phase]):
            assert self.process.poll() is None, f"ended before {phase}: {self.process.communicate()[1]}"
            time.sleep(0.02)
        return started_s[0][1]

    def _phases(self) -> list[tuple[str, float]]:
        if not any(self.out.glob("*/run.json")):
            return []
        record = self.record
        origin_s = record["started_ns"] / 1e9
        return [(each["name"], origin_s + each["started_s"]) for each in record["phases"]]

    def finish(self) -> dict[str, Any]:
        printed, said = self.process.communicate(timeout=SECONDS + PATIENCE_S)
        assert printed, said
        summary: dict[str, Any] = json.loads(printed)
        assert summary["exit_code"] == self.process.returncode
        return summary

    def latency(self) -> dict[str, SparseHistogram]:
        return latency_log.read(self.folder / "latency.hlog")


@contextmanager
def running(campaign: Path, mock: MockOrganisation) -> Iterator[Run]:
    out = campaign.with_suffix(".results")
    out.mkdir()
    command = [sys.executable, "-m", "loadgen", "run", str(campaign), "--json", "--out", str(out)]
    command += ["--target", f"mock={mock.organisation.counters_url}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Run(out, process)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def written(folder: Path, *, profile: str, **keys: object) -> Path:
    (folder / "profile.toml").write_text(profile, encoding="utf-8")
    settings = {"ramp": 1, "unfinished": 1.5, "invalid_lag": "100ms", "client": "loadgen-2007-online"}
    text = CAMPAIGN.format(**(settings | keys), profile=folder / "profile.toml")
    campaign = folder / "campaign.toml"
    campaign.write_text(text, encoding="utf-8")
    return campaign


def settings_of(**faults: object) -> list[str]:
    return [word for key, value in faults.items() for word in ("--set", f"faults.{key}={value}")]


def page(mock: MockOrganisation, path: str, *, method: str = "GET") -> Any:
    request = urllib.request.Request(f"{mock.organisation.counters_url}{path}", method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.loads(answer.read() or b"null")


def delays(mock: MockOrganisation) -> dict[str, Counter[int]]:
    """What MBX1 has drawn and held up to now: how often by microseconds."""
    values = page(mock, "/delays/values")["MBX1"]
    return {
        kind: Counter({int(value): int(count) for value, count in values[kind].items()})
        for kind in ("drawn", "held")
    }


def test_percentiles_are_those_of_the_delays(tmp_path: Path, claims: Claims) -> None:
    """A poll is one call, and only polls are delayed: service times are delays, and what carrying them costs.

    That cost is not subtracted: it is what the client sees of its own and of the proxy's work, and has to be
    within what is allowed. What the mock held while nothing was timed yet, or no more, is left out up to the
    polls that were under way at that moment.
    """
    keys = {"duration": SECONDS, "speed": 60, "users": USERS, "ramp": max(1, USERS / LOGONS_PER_S)}
    campaign = written(tmp_path, profile=NOTHING, client="loadgen-2003-online", **keys)
    arguments = settings_of(**LOGNORMAL)
    with running_mock(tmp_path, "small", *arguments, users=USERS) as mock, running(campaign, mock) as run:
        run.wait_for("measure")
        before = delays(mock)
        run.wait_for("drain")
        after = delays(mock)
        summary = run.finish()
    drawn, held = (DelayReport.of(after[kind] - before[kind]) for kind in ("drawn", "held"))
    service = run.latency()["poll_mailbox.service"]
    claim_valid(summary, claims)
    claims.claim(
        "delays that were drawn and held",
        f"{held.count:,}, of which {service.count:,} timed",
        holds=abs(service.count - held.count) <= 2 * USERS and service.count >= 0.99 * USERS * SECONDS,
    )
    found_us = dict(zip(PERCENTILES, service.percentiles_us(PERCENTILES), strict=True))
    for percentile in PERCENTILES:
        if service.count * (100 - percentile) < 100 * FEWEST_BEYOND:
            claims.note(f"p{percentile:g}", "fewer than 100,000 were timed: too few for this percentile")
            continue
        found_ms, held_ms = found_us[percentile] / 1000, held.percentiles_ms[f"{percentile:g}"]
        allowed_ms = max(WITHIN_MS, WITHIN_SHARE * held_ms)
        claims.claim(
            f"p{percentile:g} of service time, reported and held",
            f"{found_ms:.2f} and {held_ms:.2f} ms ({found_ms - held_ms:+.2f}, within {allowed_ms:.2f}; "
            f"drawn {drawn.percentiles_ms[f'{percentile:g}']:.2f})",
            holds=abs(found_ms - held_ms) <= allowed_ms,
        )
    assert claims.broken == []


def test_a_stall_is_in_response_times_and_not_in_service_times(tmp_path: Path, claims: Claims) -> None:
    """Whoever is due while the store stands waits until it goes on, as the schedule alone can tell.

    Service times show it of what was under way only: one operation of each user's mail connection.
    """
    speed = SENDS_PER_S * 8 * 3600 / (100 * STALL_USERS)
    keys = {"duration": 14, "speed": speed, "users": STALL_USERS, "unfinished": 200}
    campaign = written(tmp_path, profile=SENDING, **keys)
    with running_mock(tmp_path, "small", users=STALL_USERS) as mock, running(campaign, mock) as run:
        began_s = run.wait_for("measure")
        time.sleep(max(0.0, began_s + STALL_AT_S - time.monotonic()))
        from_s = time.monotonic()
        page(mock, f"/servers/MBX1/stall?for_s={STALL_S:g}", method="POST")
        until_s = time.monotonic()
        summary = run.finish()
    claim_valid(summary, claims)
    due_s = [began_s + each for each in due_times_s(campaign)]
    claims.note(
        "the store stood",
        f"{until_s - from_s:.2f} s, in which {within(due_s, from_s, until_s)} sends were due",
    )
    latency = run.latency()
    claim_stall(latency["send_message.response"], due_s, (from_s, until_s), claims)
    long_us = round(STALL_S * 1e6 / 10)
    slow = above(latency["send_message.service"], long_us)
    claims.claim(
        f"service times above {long_us / 1e6:g} s: what was under way",
        f"{slow} of {STALL_USERS} users, {above(latency['send_message.response'], long_us)} response times",
        holds=0 < slow <= STALL_USERS,
    )
    assert claims.broken == []


def claim_stall(
    response: SparseHistogram, due_s: Sequence[float], stall: tuple[float, float], claims: Claims
) -> None:
    """How many waited so long: those due so long before its end, and later ones that came behind."""
    from_s, until_s = stall
    for share in (0.25, 0.5, 0.75):
        least_s = share * STALL_S
        fewest = within(due_s, from_s + EDGE_S, until_s - least_s - EDGE_S)
        most = within(due_s, from_s - EDGE_S, until_s - least_s + EDGE_S + CATCH_UP_S)
        exact = within(due_s, from_s, until_s - least_s)
        found = above(response, round(least_s * 1e6))
        claims.claim(
            f"sends that took {least_s:g} s and more from when they were due",
            f"{found}; {exact} by the schedule, {fewest} to {most} with what it takes to catch up",
            holds=fewest <= found <= most,
        )


def due_times_s(campaign: Path) -> list[float]:
    """When sends are due, from the start of the measured phase: the seed alone says it."""
    read = load_campaign(str(campaign))
    schedule = Schedule(read, populate(read))
    return [send.due_ns / 1e9 for user in range(read.users) for send in schedule.sends(user)]


def within(times_s: Sequence[float], from_s: float, until_s: float) -> int:
    return sum(from_s <= each < until_s for each in times_s)


def above(histogram: SparseHistogram, value_us: int) -> int:
    """How many values are larger."""
    return sum(count for index, count in histogram.counts.items() if highest_us(index) > value_us)


def claim_valid(summary: dict[str, Any], claims: Claims) -> None:
    claims.claim(
        "the run passes",
        f"{summary['verdict']} {'; '.join(summary['reasons'])}",
        holds=summary["verdict"] == "PASS",
    )
    claims.note("generator's lag", f"p99 {summary['generator']['lag_ms']['p99']} ms")


def test_an_overloaded_target_fails(tmp_path: Path, claims: Claims) -> None:
    """Its store takes half a second for each call, far more than there is time for."""
    slow = settings_of(distribution="constant", median_ms=500)
    summary = overloaded(tmp_path, *slow)
    claims.claim(
        "a target that is too slow fails",
        f"{summary['verdict']} ({summary['exit_code']}): {summary['reasons'][0]}",
        holds=(summary["verdict"], summary["exit_code"]) == ("FAIL", 99)
        and summary["reasons"][0].startswith("target_overloaded"),
    )
    assert claims.broken == []


def test_a_generator_without_a_processor_says_nothing(tmp_path: Path, claims: Claims) -> None:
    """Its worker gets 100 of every 500 ms, as under a quota; target and load are as before, but not slow."""
    summary = overloaded(tmp_path, starve=True)
    claims.note("generator's lag", f"p99 {summary['generator']['lag_ms']['p99']} ms")
    claims.claim(
        "a generator that is too slow makes the run INVALID",
        f"{summary['verdict']} ({summary['exit_code']}): {summary['reasons'][0]}",
        holds=(summary["verdict"], summary["exit_code"]) == ("INVALID", 98)
        and "lag" in summary["reasons"][0],
    )
    assert claims.broken == []


def overloaded(folder: Path, *arguments: str, starve: bool = False) -> dict[str, Any]:
    speed = SENDS_PER_S * 8 * 3600 / (100 * STALL_USERS)
    campaign = written(folder, profile=SENDING, duration=10, speed=speed, users=STALL_USERS)
    with running_mock(folder, "small", *arguments, users=STALL_USERS) as mock, running(campaign, mock) as run:
        began_s = run.wait_for("measure")
        if starve:
            (worker,) = [pid for pid in tree(run.process.pid) if is_worker(pid)]
            while time.monotonic() < began_s + 10:
                os.kill(worker, signal.SIGSTOP)
                time.sleep(0.4)
                os.kill(worker, signal.SIGCONT)
                time.sleep(0.1)
        return run.finish()


def is_worker(pid: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
