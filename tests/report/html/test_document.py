"""The page of a run: what it says, that it stands alone, and that text from outside stays text."""

import json
import re
import shutil
import sys
from html.parser import HTMLParser

import pytest

from loadgen.measure.store import ResultsError
from loadgen.report import recorded
from loadgen.report.html import document, page
from loadgen.report.html.document import lines_of
from loadgen.report.html.markup import element, escaped
from tests.report.html.conftest import EVIL

plotly = pytest.importorskip("plotly.graph_objects", reason="charts need the extra 'report'")

ANCHORS = [
    "connections",
    "course",
    "latency",
    "operations",
    "failures",
    "limits",
    "set-up",
    "traffic",
    "generator",
    "environment",
]


class Reader(HTMLParser):
    """Elements with their attributes, and the text outside scripts and style."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._within = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._within = tag

    def handle_endtag(self, tag):
        if tag == self._within:
            self._within = None

    def handle_data(self, data):
        if self._within is None:
            self.texts.append(data)


def report_of(folder):
    return document.write(recorded.read(folder)).read_text(encoding="utf-8")


def figures_of(text):
    return json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])


def read(folder):
    text = report_of(folder)
    reader = Reader(text)
    return text, reader, " ".join(" ".join(reader.texts).split())


def test_the_verdict_and_its_reasons_come_first(a_run):
    _, _, said = read(a_run())
    assert "✗ FAIL The target did not pass: target_overloaded: 80 arrivals skipped" in said[:400]
    assert "Why it is not PASS" not in said


def test_every_part_is_there_under_a_heading_with_a_link(a_run):
    _, reader, said = read(a_run())
    sections = [attributes["id"] for tag, attributes in reader.elements if tag == "section"]
    links = [attributes["href"] for tag, attributes in reader.elements if tag == "a"]
    assert sections == ANCHORS
    assert links == [f"#{anchor}" for anchor in ANCHORS]
    for expected in (
        "≠ 9",
        "LoadGen's view of these 100 users",
        "send_message http_refused 503",
        "40 0:01.0 0:40.0",
        "✗ 40",
        "0:03.0 11 1,100 1,200 2,300 1,700 by request_queue, 2 by ports",
        "0:31.0 ✗ never 9 100 10 nobody",
        "ports CAS1",
        "CAS total",
        "outlook2007-online-anywhere light",
        "cached mode 310 1,230",
        "lag p99, ms",
        "busiest worker over ten seconds",
        "Lag and busiest worker",
        "loadgen run stalling --out",
        "2026-01-02 03:04:05 UTC",
    ):
        assert expected in said, expected


def test_a_run_without_outages_has_no_table_of_them(a_run):
    assert "users cut off" in read(a_run())[2]
    assert "users cut off" not in read(a_run(outages=()))[2]


def test_names_of_elements_are_their_own_and_every_figure_has_its_place(a_run):
    text, reader, _ = read(a_run())
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(figures_of(text)) <= set(ids)
    for _, attributes in reader.elements:
        if attributes.get("class") == "chart":
            assert attributes["role"] == "img"
            assert len(attributes["aria-label"]) > 10
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
    tags = [tag for tag, _ in reader.elements]
    assert tags.count("table") == tags.count("caption")
    assert tags.count("figure") == tags.count("figcaption")


def test_figures_are_what_plotly_takes(a_run):
    figures = figures_of(report_of(a_run(evil=EVIL)))
    assert len(figures) > 15
    for variants in figures.values():
        for figure in variants.values():
            plain = json.loads(re.sub(r'"@[\w-]+"', '"#123456"', json.dumps(figure)))
            plotly.Figure(plain)


def test_every_colour_of_a_figure_has_a_value_in_both_themes(a_run):
    text = report_of(a_run())
    used = set(re.findall(r'"@([\w-]+)"', json.dumps(figures_of(text))))
    light, dark = (
        set(re.findall(r"--([\w-]+):", part))
        for part in text.partition("</style>")[0].split("@media (prefers", 1)
    )
    assert used
    assert used <= light
    assert used <= dark


def test_a_stall_shows_in_response_and_not_in_service(a_run):
    figure = figures_of(report_of(a_run()))["course-of-latency"]["send_message"]
    highest = {line["name"]: max(filter(None, line["y"])) for line in figure["data"]}
    assert highest["response p99"] > 3000
    assert highest["service p99"] < 50


def test_hostile_text_is_shown_as_text(a_run):
    text, reader, said = read(a_run(evil=EVIL, title=EVIL))
    assert [tag for tag, _ in reader.elements].count("script") == 3
    assert not [tag for tag, _ in reader.elements if tag in ("img", "iframe", "link", "object")]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert (
        "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)> \\x1b[2J" in said
    )
    in_charts = json.dumps(figures_of(text))
    assert "<script" not in in_charts
    assert "&lt;script" in in_charts


def test_the_page_may_run_its_own_scripts_and_load_nothing(a_run):
    _, reader, _ = read(a_run())
    [policy] = [
        attributes["content"]
        for tag, attributes in reader.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert policy.count("sha256-") == 2
    assert "unsafe-inline'" not in policy.partition("style-src")[0]
    sources = [
        value for _, attributes in reader.elements for name, value in attributes.items() if name == "src"
    ]
    assert sources == []


@pytest.mark.parametrize("killed_before", ["intervals", "end"])
def test_a_run_that_was_killed_is_reported_as_far_as_it_went(a_run, killed_before):
    folder = a_run(killed_before=killed_before)
    with (folder / "timeseries.csv").open("a") as timeseries, (folder / "latency.hlog").open("a") as latency:
        timeseries.write("1,40.000,1.0")
        latency.write("Tag=send_message.response,40.0,1.0,3.0,HISTFAAA\nTag=send_mess")
    _, _, said = read(folder)
    assert "INVALID This run says nothing about the target: interrupted before the end" in said
    assert "did not end in good order" in said


@pytest.mark.parametrize("missing", ["latency.hlog", "timeseries.csv", "connections.csv", "events.jsonl"])
def test_a_file_that_is_not_there_leaves_its_charts_empty(a_run, missing):
    folder = a_run()
    (folder / missing).unlink()
    assert "connections" in report_of(folder)


def test_what_is_no_run_is_told_in_one_line(a_run):
    folder = a_run()
    (folder / "summary.json").write_text('{"schema": 1}')
    with pytest.raises(ResultsError, match=r"summary\.json: .*another version"):
        recorded.read(folder)
    (folder / "run.json").write_text(
        '{"campaign": {"unheard_of": 1}, "seed": 1, "target": "", "started": ""}'
    )
    with pytest.raises(ResultsError, match=r"run\.json: unheard_of: unknown key.*another version"):
        recorded.read(folder)
    shutil.rmtree(folder)
    with pytest.raises(ResultsError, match=r"run\.json: No such file"):
        recorded.read(folder)


def test_a_disk_that_is_full_is_named(a_run, monkeypatch):
    found = recorded.read(a_run())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(ResultsError, match=r"report\.html: No space left"):
        document.write(found)


def test_without_the_extra_it_is_left_out_with_a_word_how_to_get_it(a_run, monkeypatch):
    page.plotly_script.cache_clear()
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(page.NoCharts, match=r"left out.*pip install 'outlook-loadgen\[report\]'"):
        report_of(a_run())
    page.plotly_script.cache_clear()


def test_markup_escapes_all_but_markup():
    assert escaped('<b a="1">&') == "&lt;b a=&quot;1&quot;&gt;&amp;"
    assert element("p", element("b", "<"), None, 3, class_="x", data_y='"<') == (
        '<p class="x" data-y="&quot;&lt;"><b>&lt;</b>3</p>'
    )
    assert lines_of("a\x07\n<b>") == "a\\x07\n&lt;b&gt;"
