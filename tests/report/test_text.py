import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from loadgen.measure.connections import Census, client_count
from loadgen.measure.recorder import Gauges, Recorder
from loadgen.measure.sample import OPERATIONS, Sample
from loadgen.measure.totals import Totals
from loadgen.report import text
from loadgen.report.summary import Summary, summarise
from loadgen.workload import connection_model
from loadgen.workload.campaign import load_campaign, populate, with_options

MS, S = 1_000_000, 1_000_000_000
EVIL = "[bold red]x[/] \x1b[2J\x1b]0;title\x07 [/nothing]\nnext\u202eline"


def summary(
    *, error: str | None = None, kernel: dict[str, int] | None = None, name: str = "quickstart"
) -> Summary:
    campaign = with_options(load_campaign("quickstart"), {"name": name})
    population = populate(campaign)
    record = Recorder(0, 0)
    record.measure_between(0, 45 * S)
    for operation in OPERATIONS[:-1]:
        record.plan(operation, 10_000)
        for number in range(10_000 if operation == "send_message" else 100):
            record.record(Sample(operation, 0, number * MS, (number + 1) * 3 * MS))
    if error is not None:
        record.record(Sample("log_off", 0, 0, S, "timeout"), error)
    record.traffic("outlook2007-online-anywhere", "light", "sending", 305_000 * 30)
    totals = Totals()
    totals.add(record.snapshot(45 * S, Gauges(users_logged_on=100)))
    expected = connection_model.expected([(group.client, True, group.users) for group in population.groups])
    counts = {
        "client": client_count(expected["client_to_cas"] // 2),
        "kernel": dict(expected) | (kernel or {}),
        "mock": dict.fromkeys(expected),
    }
    return summarise(campaign, population, totals, measured_s=45.0, peak=Census(expected, counts))


def printed(found: Summary, folder: Path = Path("results/run"), *, color: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=text.WIDTH, force_terminal=color, color_system="truecolor" if color else None
    )
    text.show(found, folder, console)
    return out.getvalue()


def row(screen: str, title: str) -> list[str]:
    return next(line for line in screen.splitlines() if line.startswith(title)).removeprefix(title).split()


def test_the_screen_fits_and_no_figure_is_cut():
    screen = printed(summary(error=EVIL))
    assert max(len(line.rstrip()) for line in screen.splitlines()) <= 100
    assert "…" not in screen


def test_counts_stand_beside_what_was_expected():
    screen = printed(summary(kernel={"directory": 4}))
    assert row(screen, "client to CAS") == ["728", "728", "728", "·", "·", "·", "·", "·", "200"]
    assert row(screen, "DSProxy to GC") == ["176", "·", "≠", "4", "·", "·", "·", "·", "·", "0"]
    assert row(screen, "CAS total") == ["728", "·", "728", "·", "·", "·", "·", "·", "200"]


def test_latency_has_response_and_service():
    screen = printed(summary())
    response, service = row(screen, "send_message"), row(screen, "  10,000 of 10,000 done")
    assert response == ["response", "15,008", "27,001", "28,508", "29,704", "29,983", "30,015"]
    assert service == ["service", "10,002", "18,006", "19,005", "19,808", "19,988", "20,005"]
    assert row(screen, "  100 of 10,000 done")[0] == "service"
    assert "log_off" not in screen.partition("Traffic")[0]


def test_traffic_stands_beside_the_white_paper():
    line = row(printed(summary()), "outlook2007-online-anywhere")
    assert line == ["light", "30", "305", "(310)", "0", "(1,230)", "305", "(1,540)", "·"]


def test_verdict_reasons_and_files_come_last():
    screen = printed(summary(kernel={"store": 4}), Path("results/some-run"))
    end = screen[screen.index("FAIL") :]
    assert "100 of 100 users, 0 refused, 0 lost, 0 connections lost" in end
    assert "connections at peak: store expected 200, kernel counted 4" in end
    assert "results/some-run/" in end
    assert "latency.hlog" in end


@pytest.mark.parametrize("color", [False, True])
def test_hostile_text_is_shown_and_does_nothing(color):
    screen = printed(summary(error=EVIL, name=EVIL), color=color)
    assert "[bold red]x[/] \\x1b[2J\\x1b]0;title\\x07 [/nothing]\\nnext\\u202eline" in screen
    assert "\x1b[2J" not in screen
    assert "\x07" not in screen
    assert "\u202e" not in screen


def test_a_difference_is_marked_in_colour_too():
    screen = printed(summary(kernel={"store": 4}), color=True)
    assert re.search(r"\x1b\[1;31m *≠ 4\x1b\[0m", screen)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0125, "0.013"),
        (0.5, "0.500"),
        (1.234, "1.23"),
        (12.345, "12.3"),
        (123.4, "123"),
        (12345.6, "12,346"),
    ],
)
def test_figures_have_three_digits(value, shown):
    assert text.three_digits(value) == shown


def test_it_prints_to_the_terminal_by_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text.show(summary(), Path("results/run"))
    assert "TCP connections" in capsys.readouterr().out
