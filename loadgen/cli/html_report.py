"""``report.html`` at the end of a run, by a process of its own: what goes wrong there is not the run's."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from loadgen.report.html.document import FILE_NAME
from loadgen.report.layout import safe

MOST_S: Final = 60.0
"""How long the end of a run waits for it; three times what a day of eight hours takes."""


class HtmlReport(msgspec.Struct, frozen=True):
    """Where the report is, or why it was left out."""

    path: Path | None
    problem: str = ""


def write_html_report(folder: Path, most_s: float = MOST_S) -> HtmlReport:
    """Writes it within ``most_s`` seconds, or not at all; an interrupt ends the waiting, not the run."""
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
