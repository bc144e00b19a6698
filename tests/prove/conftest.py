"""What `make prove` says at its end: a table of what was claimed, with the figures that were found."""

from collections.abc import Callable
from typing import Any

import pytest

PROPERTY = "claim"


class Claims:
    """What one test claims. Each claim gets its line in the table, also when the test fails elsewhere."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record
        self.broken: list[str] = []

    def note(self, what: str, figure: str) -> None:
        """A figure that is worth knowing, whatever it is."""
        self._record(PROPERTY, ("", what, figure))

    def claim(self, what: str, figure: str, *, holds: bool) -> None:
        """A figure that keeps a promise, or does not."""
        self._record(PROPERTY, ("holds" if holds else "BROKEN", what, figure))
        if not holds:
            self.broken.append(f"{what}: {figure}")


@pytest.fixture
def claims(record_property: Callable[[str, object], None]) -> Claims:
    """The test's lines of the table; it makes all its claims before it looks whether any is broken."""
    return Claims(record_property)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Lists all tests that ran long enough to be asked for by name, and what they found."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and "prove" in report.keywords
    ]
    if not reports:
        return
    terminalreporter.section("claims")
    for report in sorted(reports, key=lambda report: report.nodeid):
        verdict = "holds" if report.passed else "BROKEN"
        terminalreporter.write_line(f"{verdict:7}{_said(report)}  ({report.duration:,.0f} s)")
        for kind, (verdict, what, figure) in report.user_properties:
            if kind == PROPERTY:
                terminalreporter.write_line(f"  {verdict:7}{what:52}{figure}")


def _said(report: pytest.TestReport) -> str:
    """``tests/x/test_hold.py::test_users_stay[a]`` is "hold: users stay [a]"."""
    path, _, name = report.nodeid.partition("::")
    subject = path.rpartition("/test_")[2].removesuffix(".py")
    return f"{subject}: {name.removeprefix('test_').replace('_', ' ').replace('[', ' [')}"
