from datetime import UTC, datetime

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadgen.measure import latency_log
from loadgen.measure.recorder import Recorder
from loadgen.measure.sample import Sample

S = 1_000_000_000
STARTED = datetime(2025, 3, 4, 5, 6, 7, 500_000, UTC)


def write(path):
    """Three intervals of a second: 1, 2 and 3 reads of 5, 6 and 7 ms, and one lag."""
    record = Recorder(0, 100 * S)
    record.measure_between(0, 10**18)
    text = latency_log.header(STARTED)
    for interval in range(3):
        for _ in range(interval + 1):
            service_ns = (5 + interval) * 1_000_000
            record.record(Sample("read_message", 0, 0, service_ns))
        record.lag("read_message", 0, 1_000_000)
        text += latency_log.interval_lines(record.snapshot((101 + interval) * S), 100 * S)
    path.write_text(text)
    return text


def test_an_ordinary_reader_finds_tags_times_and_counts(tmp_path):
    path = tmp_path / "latency.hlog"
    write(path)
    reader = HistogramLogReader(str(path), HdrHistogram(1, 600_000_000, 3))
    found = []
    while (histogram := reader.get_next_interval_histogram()) is not None:
        times_ms = (histogram.get_start_time_stamp(), histogram.get_end_time_stamp())
        found.append((histogram.get_tag(), *times_ms, histogram.get_total_count()))
    reader.close()
    epoch_ms = STARTED.timestamp() * 1000
    assert found == [
        (f"read_message.{what}", epoch_ms + second * 1000, epoch_ms + (second + 1) * 1000, count)
        for second in range(3)
        for what, count in (("lag", 1), ("response", second + 1), ("service", second + 1))
    ]
    assert reader.get_start_time_sec() == STARTED.timestamp()


def test_the_sum_by_tag_is_read_back(tmp_path):
    path = tmp_path / "latency.hlog"
    write(path)
    histograms = latency_log.read(path)
    assert {tag: histogram.count for tag, histogram in histograms.items()} == {
        "read_message.lag": 3,
        "read_message.response": 6,
        "read_message.service": 6,
    }
    assert 7_000 <= histograms["read_message.service"].max_us <= 7_007


def test_interval_maxima_are_in_milliseconds(tmp_path):
    text = write(tmp_path / "latency.hlog")
    [line] = [line for line in text.splitlines() if line.startswith("Tag=read_message.service,2.000,1.000,")]
    assert line.split(",")[3] == "7.003"


def test_a_log_cut_off_anywhere_loses_its_last_line_at_most(tmp_path):
    path = tmp_path / "latency.hlog"
    text = write(path)
    for end in range(0, len(text), 7):
        path.write_text(text[:end])
        whole = text[: text.rfind("\n", 0, end) + 1]
        complete = sum(line.startswith("Tag=") for line in whole.splitlines())
        lag = latency_log.read(path).get("read_message.lag")
        assert (lag.count if lag else 0) == (complete + 2) // 3


def test_a_line_that_is_damaged_is_left_out(tmp_path):
    path = tmp_path / "latency.hlog"
    text = write(path)
    path.write_text(text.replace("HISTFA", "HISTFB") + "Tag=x,0.0,1.0,1.0,SElTVA==\nTag=y,0.0,1.0,1.0,A\n")
    assert all(histogram.count == 0 for histogram in latency_log.read(path).values())
