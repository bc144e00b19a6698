"""What a report says first: the verdict and why, in one sentence, and the few figures that matter most."""

from collections.abc import Mapping
from typing import Final

from loadgen.report.html.tables import moment
from loadgen.report.layout import NO_FIGURE, three_digits
from loadgen.report.recorded import Recorded
from loadgen.report.summary import Cell, Summary

SIGNS: Final = {"PASS": "✓", "FAIL": "✗", "INVALID": "!"}
REASONS_IN_A_SENTENCE: Final = 3
_SHOWN_FIRST: Final = "send_message"


def sentence(recorded: Recorded) -> str:
    """The verdict's reasons in one sentence."""
    summary = recorded.summary
    if summary.verdict == "PASS":
        return _why_passed(recorded)
    start = {
        "FAIL": "The target did not pass",
        "INVALID": "This run says nothing about the target",
    }[summary.verdict]
    shown, more = summary.reasons[:REASONS_IN_A_SENTENCE], len(summary.reasons) - REASONS_IN_A_SENTENCE
    reasons = "; ".join(shown) + (f"; and {more} more, listed below" if more > 0 else "")
    return f"{start}: {reasons}." if reasons else f"{start}."


def _why_passed(recorded: Recorded) -> str:
    users = f"{recorded.summary.users.logged_on_peak:,} of {recorded.summary.users.planned:,} users logged on"
    if count := len(recorded.campaign.threshold):
        return f"{users}, and {'the threshold holds' if count == 1 else f'all {count} thresholds hold'}."
    return f"{users}, no operation failed, no connection was lost, and all counts of connections agree."


def headline_figures(summary: Summary) -> dict[str, tuple[str, str]]:
    """The figures at the top: what, how much, and a remark."""
    users, connections = summary.users, summary.connections
    peak, steady = _of_clients(connections.peak), _of_clients(connections.steady)
    done = sum(each.done for each in summary.operations.values())
    failed = sum(each.failed for each in summary.operations.values())
    skipped = sum(each.skipped for each in summary.operations.values())
    sending = summary.operations[_SHOWN_FIRST].response_ms.p95
    lost = f"{users.refused:,} refused, {users.lost:,} lost at the end"
    return {
        "users logged on": (f"{users.logged_on_peak:,}", f"of {users.planned:,}; {lost}"),
        "connections of clients": (
            NO_FIGURE if steady is None else f"{steady:,}",
            "not counted" if peak is None else f"steady; {peak:,} at the peak",
        ),
        "operations done": (f"{done:,}", f"{failed:,} failed, {skipped:,} skipped"),
        "send_message p95": (
            NO_FIGURE if sending is None else f"{three_digits(sending)} ms",
            "response time, from when it was due",
        ),
        "measured": (moment(summary.measured_s).partition(".")[0], "min:s of real time"),
    }


def _of_clients(table: Mapping[str, Cell]) -> int | None:
    opened = [table[column].expected for column in ("client_to_cas", "client_to_servers") if column in table]
    return sum(opened) if opened else None
