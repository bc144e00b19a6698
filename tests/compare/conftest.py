"""Results folders to compare, written as a run writes them, without running anything."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec
import pytest

from loadgen.measure.connections import Census, client_count
from loadgen.measure.recorder import Gauges, Recorder
from loadgen.measure.sample import Sample
from loadgen.measure.store import Phase, RunRecord, RunStore
from loadgen.measure.threshold import Ending
from loadgen.measure.totals import Totals
from loadgen.report.summary import summarise
from loadgen.workload import connection_model, library
from loadgen.workload.campaign import load_campaign, populate, with_options

MS, S = 1_000_000, 1_000_000_000
ORIGIN = 7 * S


def write_run(
    out: Path,
    name: str,
    *,
    seed: int,
    slowdown: float = 1.0,
    seconds: int = 60,
    interrupted: bool = False,
    failed: int = 0,
    workers: int = 2,
    **options: object,
) -> Path:
    """A run of two workers that send 10 messages a second between them, each 100 ms but for luck."""
    campaign = with_options(load_campaign("quickstart"), {"name": name, **options})
    population = populate(campaign)
    starting, steady = (
        connection_model.expected([(group.client, when, group.users) for group in population.groups])
        for when in (True, False)
    )
    totals, random = Totals(), Random(seed)
    record = RunRecord(
        campaign=library.to_table(campaign),
        seed=campaign.seed,
        target="mock",
        started="2026-01-02T03:04:05.678+00:00",
        phases=[Phase("measure", 0.0, None)],
    )
    with RunStore.create(out, name, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), ORIGIN) as store:
        store.write_run(record)
        for second in range(seconds):
            snapshots = []
            for shard in range(workers):
                record_of = Recorder(shard, ORIGIN + second * S + shard * 30 * MS)
                record_of.measure_between(0, 10**18)
                for _ in range(10 // workers):
                    due = ORIGIN + second * S + 500 * MS
                    took = round(slowdown * 100 * MS * random.lognormvariate(0, 0.1))
                    record_of.record(Sample("send_message", due, due + 2 * MS, due + took))
                for _ in range(failed if shard == second == 0 else 0):
                    record_of.record(Sample("send_message", due, due, due + S, "timeout"), "no answer")
                gauges = Gauges(users_logged_on=50, descriptors_limit=1000)
                snapshots.append(record_of.snapshot(ORIGIN + (second + 1) * S + shard * 30 * MS, gauges))
                totals.add(snapshots[-1])
            store.write_interval("measure", snapshots)
        ending = Ending(interrupted=interrupted)
        censuses = [
            Census(each, {"client": client_count(each["client_to_cas"] // 2), "kernel": dict(each)})
            for each in (starting, steady)
        ]
        store.write_summary(
            summarise(
                campaign,
                population,
                totals,
                measured_s=float(seconds),
                peak=censuses[0],
                steady=censuses[1],
                ending=ending,
            )
        )
        store.write_run(msgspec.structs.replace(record, exit_code=0))
        return store.folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs by what is special about them."""
    out = tmp_path_factory.mktemp("results")
    return {
        "before": write_run(out, "before", seed=1),
        "again": write_run(out, "again", seed=2),
        "slow": write_run(out, "slow", seed=3, slowdown=1.1, speed=320.0, failed=3),
        "short": write_run(out, "short", seed=4, seconds=8),
        "interrupted": write_run(out, "interrupted", seed=5, interrupted=True),
    }
