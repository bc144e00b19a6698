"""The page in headless Chromium: no error, every chart drawn, no request, hostile text shown as text."""

import json
import re
import shutil
import subprocess

import pytest

from loadgen.report import recorded
from loadgen.report.html import document
from tests.report.html.conftest import EVIL

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.judge,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
pytest.importorskip("plotly", reason="charts need the extra 'report'")


_BY_THE_BROWSER = "not an origin"
"""Who asks for the browser's own updates, accounts and dictionaries."""


class Visit:
    """What a browser made of a page: its document after the scripts, its console, addresses it asked for."""

    def __init__(self, path, *more):
        log = path.with_name(f"net-{len(more)}.json")
        command = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            f"--user-data-dir={path.parent / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=20000",
            "--enable-logging=stderr",
            f"--log-net-log={log}",
            *more,
            "--dump-dom",
            path.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
        self.dom = done.stdout
        self.console = re.findall(r"CONSOLE\S* (.*)", done.stderr)
        text = re.sub(r",?\s*\Z", "", log.read_text())
        entries = json.loads(text if text.endswith("}") else f"{text}]}}")["events"]
        requests = [entry.get("params", {}) for entry in entries]
        self.asked_for = {
            request["url"]
            for request in requests
            if request.get("initiator", _BY_THE_BROWSER) != _BY_THE_BROWSER
            and not request["url"].startswith(("file:", "data:"))
        }


def visited(folder, *more):
    return Visit(document.write(recorded.read(folder)), *more)


@pytest.mark.parametrize("theme", [0, 1], ids=["dark", "light"])
def test_every_chart_is_drawn_without_an_error_or_a_request(a_run, theme):
    visit = visited(a_run(), f"--blink-settings=preferredColorScheme={theme}")
    assert visit.console == []
    assert visit.asked_for == set()
    charts = re.findall(r'<div class="[^"]*\bchart\b[^"]*"[^>]*>', visit.dom)
    assert len(charts) > 15
    for chart in charts:
        assert re.search(r'data-drawn="[1-9]', chart), chart
    assert visit.dom.count('class="main-svg"') >= len(charts)
    colours = {0: "rgb(108, 176, 245)", 1: "rgb(11, 98, 184)"}
    assert colours[theme] in visit.dom
    assert colours[1 - theme] not in visit.dom


def test_a_request_of_a_page_would_be_noticed(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<img src="http://evil.example/x"><script>nothing.at.all</script>')
    visit = Visit(page)
    assert visit.asked_for == {"http://evil.example/x"}
    assert "nothing is not defined" in " ".join(visit.console)


def test_hostile_text_does_nothing(a_run):
    visit = visited(a_run(evil=EVIL, title=EVIL))
    assert visit.console == []
    assert visit.asked_for == set()
    assert visit.dom.count("<script") == 3
    assert "&lt;script&gt;alert(1)" in visit.dom
    assert "<img" not in visit.dom


def test_what_a_killed_run_left_is_drawn(a_run):
    visit = visited(a_run(killed_before="intervals"))
    assert visit.console == []
    assert "interrupted before the end" in visit.dom
