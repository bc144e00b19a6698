"""Files of a run, thinned: nothing that a chart has to show gets lost, and memory stays bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.sparse import SparseHistogram
from loadgen.report.html import figures, latency_series, run_series
from loadgen.report.html.latency_series import curve, row_ms, row_of, step_for
from loadgen.report.html.run_series import in_pieces, thinned


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000), st.integers(2, 400))
def test_thinning_keeps_peaks_dips_and_order(values, most):
    points = [(float(at), value) for at, value in enumerate(values)]
    kept = thinned(points, most)
    assert len(kept) <= most + 1
    assert set(kept) <= set(points)
    assert [at for at, _ in kept] == sorted({at for at, _ in kept})
    assert max(value for _, value in kept) == max(values)
    assert min(value for _, value in kept) == min(values)


@pytest.mark.parametrize(
    ("length_s", "step_s"), [(1, 2), (480, 2), (481, 5), (8 * 3600, 120), (29 * 3600, 600), (1e7, 41667)]
)
def test_steps_grow_with_the_run(length_s, step_s):
    assert step_for(length_s) == step_s


@given(st.integers(1, 600_000_000))
def test_a_time_falls_into_its_row(value_us):
    row = row_of(value_us)
    assert row_ms(row) * 0.999999 <= value_us / 1000 <= row_ms(row + 1) * 1.000001


def test_a_curve_ends_at_the_maximum_and_never_falls():
    histogram = SparseHistogram()
    histogram.counts.update(dict.fromkeys(range(1, 2000, 7), 3))
    points = list(curve(histogram))
    assert points == sorted(points)
    assert points[-1][1] == histogram.max_us / 1000
    assert list(curve(SparseHistogram())) == []


def test_latencies_are_summed_by_step_and_in_all(a_run):
    folder = a_run()
    with (folder / "latency.hlog").open("a") as log:
        log.write("Tag=send_message.response,40.0,1.0,3.0,AAAA\n")
    series = latency_series.read(folder / "latency.hlog", 40.0)
    response = series.times["send_message.response"]
    assert response.total.count == 400
    assert len(response.course.p50) == 20
    assert sum(sum(rows.values()) for rows in response.course.rows.values()) == 400
    assert not [tag for tag in series.times if tag.endswith(".lag")]


def test_events_get_a_lane_each_and_limits_their_own(a_run):
    series = run_series.read(a_run(), 2.0)
    assert {kind: marks.counts.total() for kind, marks in series.marks.items()} == {
        "failure": 40,
        "connection_lost": 40,
        "log_on_failed": 40,
        "limit: ports or request_queue": 40,
        "paused": 1,
    }
    times = series.failures["send_message", "http_refused"]
    assert (times.first_s, times.last_s) == (1.0, 40.0)
    assert series.operations["send_message"]["failed"] == dict.fromkeys(range(20), 1.0)


def test_lines_that_are_not_whole_or_not_ours_are_left_out(a_run):
    folder = a_run()
    before = run_series.read(folder, 2.0)
    with (folder / "events.jsonl").open("a") as events, (folder / "connections.csv").open("a") as counts:
        events.write('{"kind": 3\n[1]\n{"schema":1}\n{"kind":"pau')
        counts.write("1,2\n1,5.0,,client_to")
    assert run_series.read(folder, 2.0) == before


def test_connections_of_clients_are_those_to_a_cas_and_those_past_it(tmp_path):
    """At a moment at which a party sees but one of them, that one."""
    (tmp_path / "connections.csv").write_text(
        "time_s,column,expected,client,kernel,mock\n"
        "5.0,client_to_cas,12,12,12,11\n5.0,client_to_servers,9,9,,8\n5.0,store,7,,7,7\n"
    )
    lines = run_series.read(tmp_path, 2.0).connections
    assert lines == {
        "expected": [[(5, 21)]],
        "client": [[(5, 21)]],
        "kernel": [[(5, 12)]],
        "mock": [[(5, 19)]],
    }


def test_a_line_is_interrupted_where_a_party_rested_for_long(tmp_path):
    """A slow count lets the kernel rest; two seconds instead of one are no gap."""
    kernel = {0: 8, 1: 8, 3: 8, 4: 0, 46: 4, 90: 8}
    rows = [f"{at}.0,client_to_cas,8,8,{kernel.get(at, '')}," for at in range(91)]
    (tmp_path / "connections.csv").write_text(
        "\n".join(["time_s,column,expected,client,kernel,mock", *rows, ""])
    )
    series = run_series.read(tmp_path, 2.0)
    assert series.connections["kernel"] == [[(0, 8), (1, 8), (3, 8), (4, 0)], [(46, 4)], [(90, 8)]]
    assert [len(piece) for piece in series.connections["client"]] == [91]
    lines = {line["name"]: line for line in figures.course_of_run(series, [], 4, 2.0, 91.0)["data"]}
    assert lines["counted by kernel"]["x"] == [0, 1, 3, 4, None, 46, None, 90]
    assert lines["counted by kernel"]["y"] == [8, 8, 8, 0, None, 4, None, 8]
    assert "markers" in lines["counted by kernel"]["mode"]
    assert lines["counted by clients"]["mode"] == "lines"


def test_counts_that_are_always_seldom_are_no_gaps():
    points = [(40.0 * count, 8.0) for count in range(20)]
    assert in_pieces(points) == [points]


@pytest.mark.parametrize(
    ("length_s", "last", "title"),
    [(61.0, "1:00", "min:s"), (7199.0, "90:00", "min:s"), (8 * 3600.0, "8:00", "h:min")],
)
def test_the_axis_of_time_has_at_most_seven_ticks(length_s, last, title):
    axis = figures.time_axis(length_s)
    assert len(axis["tickvals"]) <= 7
    assert axis["ticktext"][0] == "0:00"
    assert axis["title"]["text"].endswith(title)
    assert axis["ticktext"][-1] == last
