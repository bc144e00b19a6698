"""``report.html`` at the end of a run, by a process of its own: what goes wrong there is not the run's."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from loadgen.report.html.document import FILE_NAME
from loadgen.report.layout import safe

LEAST_WAIT_S: Final = 30.0
SHARE_OF_RUN: Final = 0.01
"""How long the end of a run waits for its report: a hundredth of what the run took, or 30 s."""


class HtmlReport(msgspec.Struct, frozen=True):
    """Where the report is, or why it was left out."""

    path: Path | None
    problem: str = ""


def write_html_report(folder: Path, run_s: float) -> HtmlReport:
    """Writes it in time, or not at all; an interrupt ends the waiting, and changes nothing else.

    ``run_s`` is how long the run took.
    """
    most_s = max(LEAST_WAIT_S, run_s * SHARE_OF_RUN)
    later = f"'loadgen report {folder} --html' makes it"
    command = [sys.executable, "-m", "loadgen", "report", str(folder), "--html"]
    try:
        # A session of its own, since an interrupt at the keyboard is meant for the run.
        done = subprocess.run(  # noqa: S603 - our own program
            command, capture_output=True, text=True, timeout=most_s, start_new_session=True, check=False
        )
    except subprocess.TimeoutExpired:
        return HtmlReport(None, f"{FILE_NAME} was left out: it took longer than {most_s:g} s; {later}")
    except KeyboardInterrupt:
        return HtmlReport(None, f"{FILE_NAME} was left out: interrupted; {later}")
    except OSError as error:
        return HtmlReport(None, f"{FILE_NAME} was left out: {error}; {later}")
    if done.returncode:
        said = safe((done.stderr.splitlines() or ["no reason given"])[-1].removeprefix("Error: "))
        return HtmlReport(None, said if FILE_NAME in said else f"{FILE_NAME} was left out: {said}; {later}")
    return HtmlReport(folder / FILE_NAME)
