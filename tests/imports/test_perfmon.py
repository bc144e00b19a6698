from pathlib import Path

import pytest

from loadgen.imports.imported import read_import, write_import
from loadgen.imports.perfmon import PerfmonError, PerfmonLog, import_perfmon
from loadgen.measure.counters import read

DATA = Path(__file__).parent / "data"
HEADER = '"(PDH-CSV 4.0) (UTC)(0)","\\\\A\\System\\Threads"'


def log_of(tmp_path, *lines):
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    return PerfmonLog(path)


def test_a_log_becomes_samples_by_server_and_counter(tmp_path):
    imported = import_perfmon(DATA / "relog.csv", tmp_path)
    samples = list(read(tmp_path / "counters.csv"))
    assert [sample.value for sample in samples if sample.counter.endswith("Averaged Latency")] == [12.5, 37.5]
    assert {sample.server for sample in samples} == {"MBX1", "CAS1"}
    assert r"\MSExchange Database ==> Instances(Information Store/DB 1#1)\I/O Log Writes Average Latency" in {
        sample.counter for sample in samples
    }
    assert samples[0].time_s == 0
    assert samples[-1].time_s == pytest.approx(9.997)
    assert (imported.started, imported.ended) == (
        "2018-05-15T01:13:06.123+00:00",
        "2018-05-15T01:13:16.120+00:00",
    )
    figures = {each.counter: each for each in imported.counters}[r"\Processor(_Total)\% Processor Time"]
    assert (figures.samples, figures.mean, figures.min, figures.max) == (2, 50.125, 25.25, 75)
    assert imported.notes == ()
    write_import(tmp_path, imported)
    assert read_import(tmp_path) == imported


def test_windows_writes_utf_16_too():
    assert list(PerfmonLog(DATA / "relog-utf16.csv").samples()) == list(
        PerfmonLog(DATA / "relog.csv").samples()
    )


def test_typeperf_says_no_zone_and_talks_at_the_end():
    log = PerfmonLog(DATA / "typeperf.csv")
    assert [(sample.time_s, sample.value) for sample in log.samples()] == [(0, 5), (1.001, 7)]
    assert log.started.isoformat() == "2026-11-02T09:00:01+00:00"
    assert "taken for UTC" in log.notes[0]
    assert log.notes[1:] == [
        "line 6: 'Exiting, please wait...' left out",
        "line 7: 'The command completed successfully.' left out",
    ]


def test_quotes_may_hold_a_newline():
    assert [sample.value for sample in PerfmonLog(DATA / "quoted-newline.csv").samples()] == [3, 4]


def test_names_in_another_language_are_told():
    log = PerfmonLog(DATA / "german.csv")
    assert len(list(log.samples())) == 2
    assert log.zone == "Mitteleuropäische Zeit"
    assert "another language, such as \\Arbeitsspeicher\\Verfügbare MB" in log.notes[0]


def test_the_hour_that_comes_twice_goes_on(tmp_path):
    log = log_of(
        tmp_path, HEADER, "10/25/2026 02:59:30,1", "10/25/2026 02:00:00.000,2", "10/25/2026 02:00:30,3"
    )
    assert [sample.time_s for sample in log.samples()] == [0, 30, 60]
    assert "end of summer time" in log.notes[0]


def test_a_line_that_was_cut_and_a_column_that_stands_twice_are_told(tmp_path):
    twice = HEADER + ',"\\\\A\\System\\Threads","nonsense"'
    log = log_of(tmp_path, twice, "01/02/2026 00:00:00,1,2,3", "01/02/2026 00:00:05,4")
    assert [sample.value for sample in log.samples()] == [1]
    assert [note.partition(":")[0] for note in log.notes] == ["column 3", "line 1", "line 3"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ((), "is empty"),
        (("a,b",), "line 1: is no PDH-CSV 4.0 log, it begins with 'a'"),
        (('"(PDH-TSV 4.0) (UTC)(0)"\t"x"',), "separated by tabs; make one with: relog"),
        (('"(PDH-CSV 4.0) (UTC)(0)"',), "line 1: there are no counters"),
        ((HEADER, "01/02/2026 00:00:00,many"), r"line 2: \\A\System\Threads: 'many' is not a number"),
        ((HEADER, "13/02/2026 00:00:00,1"), "line 2: '13/02/2026 00:00:00' is no date with the month first"),
        ((HEADER, "yesterday,1"), "line 2: 'yesterday' is no date such as"),
        ((HEADER, HEADER), "line 2: a second header"),
        ((HEADER, "01/02/2026 05:00:00,1", "01/02/2026 00:00:00,1"), "line 3: time goes back by 18000 s"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path, lines, problem):
    log = log_of(tmp_path, *lines)
    with pytest.raises(PerfmonError) as caught:
        list(log.samples())
    assert str(caught.value).startswith(str(tmp_path / "log.csv"))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_log_that_is_not_there_is_told(tmp_path):
    with pytest.raises(PerfmonError, match="No such file"):
        list(PerfmonLog(tmp_path / "none.csv").samples())


def test_a_log_is_read_as_it_is_asked_for(tmp_path):
    """A gigabyte must not be in memory: the first sample comes though the last line is wrong."""
    log = log_of(tmp_path, HEADER, *["01/02/2026 00:00:00,1"] * 20_000, "wrong,1")
    assert next(log.samples()).value == 1
