"""The picture of a run on a terminal, and the keys that control it."""

import asyncio
import io
import os
import pty
import select
import signal
import termios
import time

import msgspec
import pytest
from rich.console import Console

from loadgen.cli import keyboard, live_view
from loadgen.cli.keyboard import Keys, by_keys
from loadgen.cli.live_view import HELP, KEYS, LiveView, clock_time
from loadgen.cli.progress import PlainLines, WarningsAlone, progress_display
from loadgen.engine.control import Answer, Command
from loadgen.engine.progress import ColumnState, Happening, Progress
from loadgen.engine.security import INSECURE

PROGRESS = Progress(
    phase="measure",
    phase_s=12.4,
    phase_length_s=45.0,
    users=998,
    users_planned=1_001,
    users_wanted=1_001,
    users_admitted=990,
    users_refused=3,
    connections=6_006,
    columns={
        "client_to_cas": ColumnState(6_006, 6_006),
        "cas_total": ColumnState(6_006, 6_004),
        "referral": ColumnState(0, 0),
        "directory": ColumnState(2_002, None),
    },
    operations_per_s=1_234.5,
    p50_ms=1.25,
    p99_ms=None,
    send_p50_ms=12.34,
    send_p95_ms=1_056.7,
    done=15_000,
    failed=7,
    skipped=3,
    failures={"timeout": 2, "not_delivered": 5},
    reconnects=4,
    connections_lost=6,
    lag_p99_ms=2.5,
    busy=0.345,
    events=tuple(Happening(number * 61.0, "reconnected", f"number {number}") for number in range(8)),
)


class Seconds:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def now():
    return Seconds()


def picture(progress, now, width=80, height=24, **state):
    """The lines of the view as a terminal of that size shows them."""
    file = io.StringIO()
    console = Console(width=width, height=height, file=file, force_terminal=True, color_system=None)
    view = LiveView("quick\x1bstart", None, now)
    if progress is not None:
        view.show(progress)
    for name, value in state.items():
        setattr(view, name, value)
    console.print(view)
    return file.getvalue().splitlines()


def test_eighty_columns_hold_all_of_it(now):
    now_s = now.now
    lines = picture(PROGRESS, now, has_keys=True)
    assert now.now == now_s
    assert lines[0].startswith("quick\\x1bstart  measure  0:12 of 0:45, 0:33 left  ━")
    assert lines[1:11] == [
        "users        998 of 1,001 logged on, 990 admitted, 3 refused",
        "operations   1,234/s   15,000 done   7 failed   3 skipped",
        "response     send_message p50 12.3 ms p95 1,056.7 ms   all p99 -",
        "failures     5 not_delivered, 2 timeout",
        "connections  6,006 TCP open   6 virtual lost   4 users came back",
        "generator    lag p99 2.5 ms   busy 34%",
        "  client to CAS    6,006 of 6,006    CAS total        6,004 of 6,006  ≠",
        "  directory (GC)       · of 2,002",
        "   0:00  reconnected: number 0",
        "   1:01  reconnected: number 1",
    ]
    assert lines[-2:] == ["   7:07  reconnected: number 7", KEYS]


def test_events_are_told_with_how_often_and_without_a_text_that_they_do_not_have(now):
    events = (Happening(132.0, "reconnected", "", 1_200), Happening(133.0, "connection_lost", "reset", 2))
    lines = picture(msgspec.structs.replace(PROGRESS, events=events), now)
    assert "   2:12  reconnected (1,200 times)" in lines
    assert "   2:13  connection_lost (2 times): reset" in lines


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [5, 10, 24, 50])
def test_no_terminal_is_too_small_and_no_line_too_long(now, width, height):
    lines = picture(PROGRESS, now, width, height, has_keys=True)
    assert len(lines) <= height - 1
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("quick\\x1bstart"[: width - 1])
    assert lines[-1].startswith(KEYS[: width - 1])


def test_a_wide_terminal_has_three_columns_of_the_table_in_a_line(now):
    [line] = [line for line in picture(PROGRESS, now, 120) if "client to CAS" in line]
    assert "CAS total" in line
    assert "directory (GC)" in line


def test_time_goes_on_between_two_intervals_but_not_beyond_the_phase(now):
    view_at = now.now

    def headline(after_s):
        console = Console(width=80, height=24, file=io.StringIO(), record=True)
        now.now = view_at
        view = LiveView("q", None, now)
        view.show(PROGRESS)
        now.now = view_at + after_s
        console.print(view)
        return console.export_text().splitlines()[0]

    assert "0:13 of 0:45, 0:32 left" in headline(0.7)
    assert "0:45 of 0:45, 0:00 left" in headline(100)


def test_a_phase_of_unknown_length_and_a_pause_are_told_as_such(now):
    change = msgspec.structs.replace
    [head, *_] = picture(change(PROGRESS, phase="drain", phase_length_s=None), now)
    assert head == "quick\\x1bstart  drain  0:12"
    [head, users, *_] = picture(change(PROGRESS, phase="pause", phase_length_s=None, users_wanted=500), now)
    assert head == "quick\\x1bstart  PAUSE  0:12"
    assert "998 of 1,001 logged on, 500 wanted" in users


def test_before_the_first_interval_it_says_that_it_starts(now):
    [line, *rest] = picture(None, now)
    assert line == "quick\\x1bstart: starting … 0:00"
    assert not any(rest)


def test_help_takes_the_place_of_table_and_events(now):
    lines = picture(PROGRESS, now, _helps=True)
    assert set(HELP) <= set(lines)
    assert not any("client to CAS" in line or "reconnected" in line for line in lines)


def test_a_note_gives_way_to_the_keys_after_a_while(now):
    console = Console(width=80, height=24, file=io.StringIO(), record=True)
    view = LiveView("q", None, now)
    view.has_keys = True
    view.show(PROGRESS)
    view.note("pause: \x1bdone")
    console.print(view)
    assert console.export_text().splitlines()[-1] == "→ pause: \\x1bdone"
    now.now += 10
    console.print(view)
    assert console.export_text().splitlines()[-1] == KEYS


def test_another_size_of_the_terminal_begins_on_an_empty_screen(now):
    file = io.StringIO()
    view = LiveView("q", None, now)
    for width in (80, 80, 60):
        Console(width=width, height=24, file=file, force_terminal=True).print(view)
    assert file.getvalue().count("\x1b[2J") == 1


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (3599, "59:59"), (28_800, "8:00:00")]
)
def test_clock_times(seconds, shown):
    assert clock_time(seconds) == shown


@pytest.mark.parametrize(
    ("manner", "terminal", "kind"),
    [
        (None, True, LiveView),
        (None, False, PlainLines),
        ("plain", True, PlainLines),
        ("quiet", True, WarningsAlone),
        ("quiet", False, WarningsAlone),
    ],
)
def test_the_display_fits_the_terminal_unless_another_is_asked_for(manner, terminal, kind):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    with progress_display("q", console, manner) as display:
        assert isinstance(display, kind)


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with progress_display("q", Console(file=io.StringIO(), force_terminal=True)) as display:
        assert isinstance(display, PlainLines)


def test_quiet_lets_warnings_through_alone():
    file = io.StringIO()
    with progress_display("q", Console(file=file), "quiet") as display:
        display.say("results: x/")
        display.say("Warning: no control socket")
        display.say(INSECURE)
        display.show(PROGRESS)
    assert file.getvalue() == f"Warning: no control socket\n{INSECURE}\n"


class Run:
    """A run that obeys, and the view before it."""

    def __init__(self):
        self.phase, self.wanted = "measure", 100
        self.commands, self.notes = [], []
        self.helps = 0

    async def obey(self, command, by):
        assert by == "keyboard"
        if command.command == "status":
            progress = msgspec.structs.replace(PROGRESS, users_planned=100, users_wanted=self.wanted)
            return Answer(ok=True, text=self.phase, status=progress)
        self.commands.append(str(command))
        if command.users is not None:
            self.wanted = command.users
        self.phase = {"pause": "pause", "resume": "measure"}.get(command.command, self.phase)
        return Answer(ok=True, text="done")

    def note(self, text):
        self.notes.append(text)

    def toggle_help(self):
        self.helps += 1


@pytest.mark.parametrize(
    ("typed", "commands"),
    [
        ("p", ["pause"]),
        ("ppp", ["pause", "resume", "pause"]),
        ("--+", ["scale 90", "scale 80", "scale 90"]),
        ("+", []),
        ("-=", ["scale 90", "scale 100"]),
        ("-" * 12, [f"scale {users}" for users in (*range(90, 0, -10), 1)]),
        ("q", []),
        ("qq", ["stop"]),
        ("x\n?P", []),
    ],
)
async def test_keys(typed, commands, now):
    run = Run()
    keys = Keys(run, run, now)
    for key in typed:
        await keys.press(key)
    assert run.commands == commands
    assert run.helps == typed.count("?")
    if commands:
        assert run.notes[-1].endswith("done") or run.notes[-1] == "one user has to stay"


async def test_q_has_to_come_twice_within_five_seconds(now):
    run = Run()
    keys = Keys(run, run, now)
    for after_s in (0, 6, 6):
        now.now += after_s
        await keys.press("q")
    assert run.commands == []
    assert run.notes == ["q again within 5 s stops the run in good order"] * 3
    now.now += 4
    await keys.press("q")
    assert run.commands == ["stop"]


@pytest.fixture
def terminal(monkeypatch):
    """The other end of a terminal that stands for standard input, as that of the foreground."""
    ours, theirs = pty.openpty()
    monkeypatch.setattr(keyboard.sys, "stdin", os.fdopen(theirs, "rb", buffering=0))
    monkeypatch.setattr(keyboard.os, "tcgetpgrp", lambda _: os.getpgrp())
    yield ours
    keyboard.sys.stdin.close()
    os.close(ours)


def is_typed(stdin):
    """Whether something waits to be read."""
    return bool(select.select([stdin], [], [], 0)[0])


def is_line_by_line(terminal):
    return bool(termios.tcgetattr(terminal)[3] & termios.ICANON)


async def until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_keys_of_the_terminal_reach_the_run_and_the_terminal_gets_its_manners_back(terminal, now):
    run, view = Run(), LiveView("q", None, now)
    with by_keys(view)(run):
        assert view.has_keys
        assert not is_line_by_line(terminal)
        os.write(terminal, b"p")
        await until(lambda: run.commands == ["pause"])
        os.write(terminal, b"\x1b[p")
        await until(lambda: not is_typed(keyboard.sys.stdin))
        os.write(terminal, b"p")
        await until(lambda: run.commands == ["pause", "resume"])
        termios.tcsetattr(terminal, termios.TCSANOW, with_lines(terminal))
        signal.raise_signal(signal.SIGCONT)
        await until(lambda: not is_line_by_line(terminal))
    assert is_line_by_line(terminal)
    assert not view.has_keys


def with_lines(terminal):
    attributes = termios.tcgetattr(terminal)
    attributes[3] |= termios.ICANON | termios.ECHO
    return attributes


async def test_a_job_in_the_background_leaves_the_terminal_alone(terminal, monkeypatch, now):
    monkeypatch.setattr(keyboard.os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
    view = LiveView("q", None, now)
    with by_keys(view)(Run()):
        assert not view.has_keys
        assert is_line_by_line(terminal)


async def test_a_plain_display_hears_no_keys():
    with by_keys(PlainLines(Console(file=io.StringIO())))(Run()) as keys:
        assert keys is None


def test_commands_are_named_as_they_are_typed():
    assert [str(Command("pause")), str(Command("scale", 5))] == ["pause", "scale 5"]
    assert live_view.ms(None) == "-"
