import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from loadgen.measure.connections import Census, client_count
from loadgen.measure.recorder import Gauges, Recorder
from loadgen.measure.sample import OPERATIONS, Sample
from loadgen.measure.threshold import Ending
from loadgen.measure.totals import Totals
from loadgen.report import text
from loadgen.report.layout import DIFFERS, LEGEND, PIPED_WIDTH, WIDEST, output_console, three_digits
from loadgen.report.summary import Cell, Summary, summarise
from loadgen.workload import connection_model
from loadgen.workload.campaign import load_campaign, populate, with_options

MS, S = 1_000_000, 1_000_000_000
EVIL = "[bold red]x[/] \x1b[2J\x1b]0;title\x07 [/nothing]\nnext\u202eline"


def summary(
    *, error: str | None = None, kernel: dict[str, int] | None = None, name: str = "quickstart"
) -> Summary:
    campaign = with_options(load_campaign(str(Path(__file__).with_name("quickstart.toml"))), {"name": name})
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


def both(**options: object) -> Summary:
    """A run without measurements that was counted at both barriers."""
    campaign = with_options(load_campaign(str(Path(__file__).with_name("quickstart.toml"))), options)
    population = populate(campaign)
    census = []
    for starting in (campaign.startup == "on", False):
        users = [(group.client, starting, group.users) for group in population.groups]
        expected = connection_model.expected(users)
        census.append(Census(expected, {"kernel": dict(expected), "mock": dict(expected)}))
    return summarise(campaign, population, Totals(), measured_s=1.0, peak=census[0], steady=census[1])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(
    found: Summary, folder: Path = Path("results/run"), *, width: int = PIPED_WIDTH, color: bool = False
) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=color, color_system="truecolor" if color else None
    )
    text.show(found, folder, console)
    return out.getvalue()


def row(screen: str, title: str) -> list[str]:
    return next(line for line in screen.splitlines() if line.startswith(title)).removeprefix(title).split()


def scaled(found: Summary, factor: int) -> Summary:
    """The same run with many more users, counted by the mock too."""

    def times(cell: Cell) -> Cell:
        expected, kernel = cell.expected * factor, (cell.kernel or 0) * factor
        return Cell(expected=expected, client=cell.client and expected, kernel=kernel, mock=expected)

    peak = {column: times(cell) for column, cell in found.connections.peak.items()}
    connections = msgspec.structs.replace(found.connections, peak=peak, steady=peak)
    return msgspec.structs.replace(found, connections=connections)


def figures_of(found: Summary) -> Iterator[str]:
    """Everything that the tables of a run have to show."""
    for table in (found.connections.peak, found.connections.steady):
        for column, cell in table.items():
            if column in text.SELDOM:
                continue  # there is nothing in them
            counts = (cell.expected, cell.client, cell.kernel, cell.mock)
            yield from (f"{count:,}" for count in counts if count is not None)
    for operation in found.operations.values():
        for latency in (operation.response_ms, operation.service_ms):
            yield from (three_digits(each) for each in msgspec.structs.astuple(latency) if each is not None)
    for profiles in found.traffic.values():
        for line in profiles.values():
            kb = (line.sending, line.aggregate, line.sending + line.aggregate)
            yield from (f"{each:,.0f}" for each in (line.users, *kb))


@pytest.mark.parametrize("width", [76, 80, 100, 120, 140, 200])
def test_the_screen_fits_and_no_figure_is_cut(width):
    screen = printed(summary(error=EVIL), width=width)
    assert max(len(line.rstrip()) for line in screen.splitlines()) <= width
    assert "…" not in screen


@pytest.mark.parametrize("factor", [1, 100, 10_000])
@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_every_figure_is_there_however_narrow_it_is(width, factor):
    found = scaled(summary(kernel={"directory": 4}), factor)
    screen = printed(found, width=width)
    shown = Counter(re.findall(r"(?<![\w,.])[\d,.]*\d(?![\w,.])", screen))
    assert not Counter(figures_of(found)) - shown
    assert screen.count(DIFFERS) == 3
    assert "…" not in screen


def test_barriers_stand_side_by_side_or_one_under_the_other():
    wide = printed(scaled(summary(), 10), width=80)
    assert row(wide, "client to CAS") == ["7,280"] * 8
    narrow = printed(scaled(summary(), 1000), width=80).splitlines()
    rows = [line.removeprefix("client to CAS").split() for line in narrow if line.startswith("client to CAS")]
    assert rows == [["728,000"] * 4] * 2
    assert [line.strip() for line in narrow if line.strip() in {"peak", "steady"}] == ["peak", "steady"]


def test_counts_stand_beside_what_was_expected():
    screen = printed(summary(kernel={"directory": 4}))
    assert row(screen, "client to CAS") == ["728", "728", "728", "·", "·", "·", "·", "·"]
    assert row(screen, "directory (GC)") == ["176", "·", "≠", "4", "·", "·", "·", "·", "·"]
    assert row(screen, "CAS total") == ["728", "·", "728", "·", "·", "·", "·", "·"]
    assert screen.count(LEGEND) == 1


def test_figures_are_aligned_to_the_right():
    lines = printed(summary(kernel={"directory": 4})).splitlines()
    found = [re.match(r"(CAS total|store|directory \(GC\)) +[\d,]+", line) for line in lines]
    assert len({match.end() for match in found if match}) == 1


def test_loadgens_view_is_a_sentence():
    screen = printed(both(), width=1000)
    assert (
        "LoadGen's view of these 100 users: 200 connections at the CAS instead of 552, a factor of 2.8 "
        "(728 at start-up, 3.6); none of 176 to public folders; none of 176 to global catalogs."
    ) in screen


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"startup": "off"},
            "200 connections at the CAS instead of 552, a factor of 2.8; none of 176 to public folders; none",
        ),
        (
            {"group": [{"users": 9, "client": "loadgen-2007-online", "profile": "light"}]},
            "of these 9 users: 18 connections at the CAS, which is all that they have.\n",
        ),
    ],
)
def test_loadgens_view_of_other_populations(options, sentence):
    assert sentence in printed(both(**options), width=1000)


@pytest.mark.parametrize(("refused", "expected"), [(1, 552), (0, 99)])
def test_those_who_came_are_not_compared_with_all(refused, expected):
    found = both(startup="off")
    steady = found.connections.steady
    steady |= {"cas_total": msgspec.structs.replace(steady["cas_total"], expected=expected)}
    found = msgspec.structs.replace(
        found,
        users=msgspec.structs.replace(found.users, refused=refused),
        connections=msgspec.structs.replace(found.connections, peak={}, steady=steady),
    )
    assert "LoadGen's view of these 100 users: 200 connections at the CAS.\n" in printed(found, width=1000)


def test_a_run_that_got_nowhere_shows_no_empty_tables():
    campaign = load_campaign(str(Path(__file__).with_name("quickstart.toml")))
    refused = Ending(unreachable="the first user could not log on: HTTP 401")
    screen = printed(summarise(campaign, populate(campaign), Totals(), measured_s=0.0, ending=refused))
    assert "Not counted: the run did not get as far as a barrier." in screen
    assert not {"Latency", "Traffic", "LoadGen's"} & set(screen.split())
    assert "the first user could not log on: HTTP 401" in screen


def test_latency_has_response_and_service():
    screen = printed(summary())
    assert screen.startswith("TCP connections")
    response, service = row(screen, "send_message"), row(screen, "  10,000 of 10,000")
    assert response == ["response", "15,008", "27,001", "28,508", "29,704", "29,983", "30,015"]
    assert service == ["service", "10,002", "18,006", "19,005", "19,808", "19,988", "20,005"]
    assert row(screen, "  100 of 10,000")[0] == "service"
    assert "log_off" not in screen.partition("Traffic")[0]


def test_latency_of_a_wide_screen_is_one_line():
    screen = printed(summary(), width=200)
    assert row(screen, "send_message") == [
        *("10,000", "of", "10,000", "15,008", "27,001", "28,508", "29,704", "29,983", "30,015"),
        *("10,002", "18,006", "19,005", "19,808", "19,988", "20,005"),
    ]


@pytest.mark.parametrize("width", [80, 200])
def test_what_went_wrong_stands_with_its_operation(width):
    screen = printed(summary(error="no answer"), width=width)
    part = screen[screen.index("log_off") : screen.index("Traffic")]
    assert ("  1 failed" if width == 80 else ", 1 failed") in part


def test_traffic_stands_beside_the_white_papers_cached_mode():
    screen = printed(summary())
    assert row(screen, "outlook2007-online-anywhere") == ["light", "30", "305", "0", "305", "·"]
    paper = [line.split()[-5:] for line in screen.splitlines() if line.startswith("white paper, cached mode")]
    assert paper == [
        ["mode", "light", "310", "1,230", "1,540"],
        ["mode", "medium", "620", "2,470", "3,090"],
        ["mode", "heavy", "1,230", "4,940", "6,170"],
        ["mode", "very-heavy", "1,850", "7,400", "9,250"],
    ]
    assert "Outlook 2007 in cached mode: beside other types" in " ".join(screen.split())
    assert "from a hold of at least 60 s." in " ".join(screen.split())


def test_inside_the_firewall_the_white_paper_has_rows_of_both_modes():
    groups = ("outlook2007-cached", "outlook2007-online", "outlook2007-online-anywhere")
    found = both(group=[{"users": 9, "client": client, "profile": "light"} for client in groups])
    screen = printed(found)
    assert row(screen, "white paper, cached, inside")[-4:] == ["light", "260", "1,040", "1,300"]
    assert row(screen, "white paper, online, inside")[-4:] == ["light", "190", "2,510", "2,700"]
    assert row(screen, "white paper, cached mode")[-4:] == ["light", "310", "1,230", "1,540"]
    assert "between client and CAS" not in screen


def test_a_summary_from_before_clients_inside_the_firewall_reads_as_it_did():
    found = summary()
    document = msgspec.to_builtins(found)
    for cells in (document["connections"]["as_loadgen"], document["connections"]["peak"]):
        del cells["client_to_servers"]
    for lines in document["traffic"].values():
        for line in lines.values():
            del line["white_paper_row"]
    assert printed(msgspec.convert(document, Summary)) == printed(found)


def test_traffic_of_a_narrow_screen_has_the_profiles_under_their_type():
    lines = printed(summary(), width=60).splitlines()
    place = next(
        number for number, line in enumerate(lines) if line.startswith("outlook2007-online-anywhere")
    )
    assert lines[place + 1].split() == ["light", "30", "305", "0", "305", "·"]


def test_verdict_reasons_and_files_come_last():
    screen = printed(summary(kernel={"store": 4}), Path("results/some-run"))
    end = screen[screen.index("FAIL") :]
    assert "100 of 100 users, 0 refused, 0 lost at the end, 0 virtual connections lost" in end
    assert "connections at peak: store expected 200, kernel counted 4" in end
    assert "Results: results/some-run/\n" in end
    assert "latency.hlog" in end


def test_the_path_of_the_results_is_never_broken():
    folder = Path("/a/rather/long/path" * 8)
    assert f"Results: {folder}/\n" in printed(summary(), folder, width=60)


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
    assert three_digits(value) == shown


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_a_file_or_a_pipe_gets_a_fixed_width(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    text.show(summary(), Path("results/run"))
    assert capsys.readouterr().out == printed(summary(), width=PIPED_WIDTH)


@pytest.mark.parametrize(("columns", "used"), [(80, 80), (100, 100), (300, WIDEST)])
def test_a_terminal_is_used_up_to_a_readable_width(monkeypatch, columns, used):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout", Terminal())
    assert output_console().width == used


def test_a_terminal_without_our_marks_gets_others(monkeypatch):
    octets = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(octets, encoding="ascii"))
    text.show(summary(kernel={"store": 4}), Path("results/run"))
    sys.stdout.flush()
    assert b"? 4 " in octets.getvalue()
