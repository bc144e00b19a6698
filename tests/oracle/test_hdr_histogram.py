"""HdrHistogram's own tools read ``latency.hlog`` as we do: the Python package, and the original in Java.

The latter is the Debian package ``libhdrhistogram-java``; without it the test is skipped.
"""

import csv
import math
import shutil
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadgen.measure import latency_log
from loadgen.measure.histogram import HIGHEST_US, LOWEST_US, SIGNIFICANT_DIGITS
from loadgen.measure.recorder import Recorder
from loadgen.measure.sample import Sample
from loadgen.measure.store import RunStore

JAR = Path("/usr/share/java/hdrhistogram.jar")
OPERATIONS = ("send_message", "poll_mailbox")
TAGS = tuple(f"{operation}.{time}" for operation in OPERATIONS for time in ("response", "service"))
INTERVALS, WORKERS, PER_INTERVAL = 10, 2, 1_000
COUNT = INTERVALS * WORKERS * PER_INTERVAL
"""Of each tag: so many that 99.99 % of them is a whole number, about which nobody can disagree."""
PERCENTILES = (0.01, 50.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0)
S = 1_000_000_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log as a run writes it, of lognormal times from microseconds to minutes."""
    random = Random(7)
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with RunStore.create(tmp_path_factory.mktemp("hdr"), "hdr", started, S) as store:
        recorders = [Recorder(worker, S) for worker in range(WORKERS)]
        for recorder in recorders:
            recorder.measure_between(0, 1_000 * S)
        for interval in range(INTERVALS):
            ended_ns = (interval + 2) * S
            for recorder in recorders:
                _record(recorder, random, ended_ns)
            store.write_interval("measure", [recorder.snapshot(ended_ns) for recorder in recorders])
    return store.folder / "latency.hlog"


def _record(recorder: Recorder, random: Random, due_ns: int) -> None:
    for operation in OPERATIONS:
        for _ in range(PER_INTERVAL):
            waiting_ns, service_ns = (round(random.lognormvariate(17, 2)) for _ in range(2))
            started_ns = due_ns + waiting_ns
            recorder.record(Sample(operation, due_ns, started_ns, started_ns + service_ns))


def ours(log: Path, tag: str, percentiles: tuple[float, ...]) -> list[int]:
    return latency_log.read(log)[tag].percentiles_us(percentiles)


def test_our_own_reader_sees_all_of_it(log):
    found = latency_log.read(log)
    assert sorted(found) == sorted(TAGS)
    assert {histogram.count for histogram in found.values()} == {COUNT}


@pytest.mark.parametrize("tag", TAGS)
def test_the_python_package_reads_the_same_percentiles(log, tag):
    total = HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)
    with closing(HistogramLogReader(str(log), total)) as reader:
        while (interval := reader.get_next_interval_histogram()) is not None:
            if interval.tag == tag:
                total.add(interval)
    assert total.total_count == COUNT
    assert [total.get_value_at_percentile(each) for each in PERCENTILES] == ours(log, tag, PERCENTILES)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.skipif(
    not (shutil.which("java") and JAR.exists()), reason="no java, or no Debian package libhdrhistogram-java"
)
def test_the_original_in_java_reads_the_same_percentiles(log, tag):
    """Each line of its distribution says how many values do not exceed one: that rank has it with us, too."""
    command = ["java", "-cp", str(JAR), "org.HdrHistogram.HistogramLogProcessor", "-csv"]
    command += ["-i", str(log), "-tag", tag, "-outputValueUnitRatio", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    rows = [(float(row["Value"]), int(row["TotalCount"])) for row in csv.DictReader(lines)]
    assert rows[-1][1] == COUNT
    assert len(rows) > 50
    percentiles = tuple(100 * count / COUNT for _, count in rows)
    assert [math.floor(value) for value, _ in rows] == ours(log, tag, percentiles)
