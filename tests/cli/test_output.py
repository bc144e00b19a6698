"""Readers who leave early, as ``head`` does, and disks that are full."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import asyncio, sys
from pathlib import Path
from loadgen.cli import run as module
from loadgen.cli.html_report import HtmlReport
from loadgen.cli.main import main
from loadgen.engine.run import Finished
from loadgen.measure.totals import Totals
from loadgen.report.summary import summarise

async def run(campaign, population, target, *, say, on_progress, command, by_hand, meter):
    return Finished(summarise(campaign, population, Totals(), measured_s=1.0), Path("x"))

module.run_campaign = run
module.write_html_report = lambda folder, _: HtmlReport(folder / "report.html")
main(sys.argv[1:], prog_name="loadgen")
"""

PRINT = """
import select, sys
import click
from loadgen.cli.output import guard_standard_output

def wait(*descriptors, until=select.select):
    print("full", file=sys.stderr, flush=True)
    return until(*descriptors)

select.select = wait
guard_standard_output()
click.echo("x" * int(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("-m", "loadgen", "--help"), 0),
        (("-m", "loadgen", "--version"), 0),
        (("-m", "loadgen", "run", "--help"), 0),
        (("-m", "loadgen", "import", "table", "--template"), 0),
        (("-m", "loadgen", "profiles", "list"), 0),
        (("-m", "loadgen", "profiles", "list", "--json"), 0),
        (("-c", RUN, "run"), 99),
        (("-c", RUN, "run", "--json"), 99),
    ],
)
def test_a_reader_who_leaves_changes_nothing(arguments, code):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_slow_reader_gets_all_of_an_output_that_does_not_block():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    size = 2 * fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
    command = [sys.executable, "-c", PRINT, str(size)]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        assert process.stderr is not None
        assert process.stderr.readline() == b"full\n"
        with os.fdopen(reader, "rb") as output:
            assert len(output.read()) == size + 1
        assert set(process.stderr.readlines()) <= {b"full\n"}
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-m", "loadgen", "--help"), 98, ""),
        (("-m", "loadgen", "--version"), 98, ""),
        (("-m", "loadgen", "run", "--help"), 98, ""),
        (("-m", "loadgen", "import", "table", "--template"), 98, ""),
        (("-m", "loadgen", "profiles", "list"), 98, ""),
        (("-c", RUN, "run"), 99, "; all that was found is in x"),
        (("-c", RUN, "run", "--json"), 99, "; all that was found is in x"),
    ],
)
def test_no_room_for_what_is_printed_is_told_in_one_line_and_leaves_a_verdict_alone(arguments, code, said):
    command = [sys.executable, *arguments]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    problem = f"Error: standard output: No space left on device{said}\n"
    assert (done.returncode, done.stderr) == (code, problem)
