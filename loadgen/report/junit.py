"""JUnit XML, so that a pipeline shows a run's thresholds, limits, barriers and operations as test cases.

Written by junitparser, which comes with the extra ``report``.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from loadgen.errors import ProfileError
from loadgen.measure.store import ResultsError
from loadgen.measure.threshold import table_problems
from loadgen.report.layout import safe
from loadgen.report.summary import Summary

if TYPE_CHECKING:
    from junitparser import TestCase


class Case(NamedTuple):
    """A test case: passed without any text, else with the first of its texts that there is."""

    group: str
    name: str
    failure: str = ""
    error: str = ""
    """What says nothing about the target: the run itself is no good."""
    skipped: str = ""


def require_junit() -> None:
    """Raises :class:`~loadgen.errors.ProfileError` if the library is not installed."""
    if find_spec("junitparser") is None:
        raise ProfileError("option: junit: needs junitparser: pip install 'outlook-loadgen[report]'")


def cases_of(summary: Summary) -> Iterator[Case]:
    """The verdict, then a case for each threshold, limit, barrier and operation of a run."""
    yield verdict_case(summary.verdict, summary.reasons)
    for result in summary.thresholds:
        yield Case("threshold", result.text, failure=result.why)
    for limit in summary.limit_results:
        why = limit.why or str(limit.limit)
        yield Case(
            "limit",
            f"{limit.server}: {limit.limit}" if limit.server else limit.limit,
            failure=why if limit.held is False else "",
            skipped=why if limit.held is None else "",
        )
    for moment, cells in (("peak", summary.connections.peak), ("steady", summary.connections.steady)):
        table = {
            column: {party: getattr(cell, party) for party in ("expected", "client", "kernel", "mock")}
            for column, cell in cells.items()
        }
        yield Case("barrier", moment, failure="; ".join(table_problems(moment, table)))
    yield from _operations(summary)


def verdict_case(verdict: str, reasons: Sequence[str]) -> Case:
    """PASS passes, FAIL is a failure, INVALID an error."""
    text = "; ".join(reasons) or verdict
    return Case(
        "verdict",
        "verdict",
        failure=text if verdict == "FAIL" else "",
        error=text if verdict == "INVALID" else "",
    )


def _operations(summary: Summary) -> Iterator[Case]:
    for name, operation in summary.operations.items():
        ended = operation.done + operation.failed + operation.skipped
        if not (ended or operation.planned):
            continue
        problems = [f"{operation.failed:,} of {ended:,} failed"] if operation.failed else []
        problems += [
            f"{failure.count:,} {failure.outcome}: {failure.example}"
            for failure in summary.failure_examples
            if failure.operation == name
        ]
        yield Case("operation", name, failure="; ".join(problems))


def write_junit(path: Path, suite: str, cases: Iterable[Case]) -> None:
    """Writes one suite; raises :class:`~loadgen.measure.store.ResultsError`."""
    require_junit()
    from junitparser import JUnitXml, TestSuite  # noqa: PLC0415 - an extra

    tests = TestSuite(safe(suite))
    tests.add_testcases([_test_case(case) for case in cases])
    document = JUnitXml("loadgen")
    document.add_testsuite(tests)
    try:
        document.write(str(path), pretty=True)
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from None


def _test_case(case: Case) -> "TestCase":
    from junitparser import Error, Failure, Skipped, TestCase  # noqa: PLC0415 - an extra

    test = TestCase(safe(case.name), classname=f"loadgen.{case.group}")
    for kind, text in ((Error, case.error), (Failure, case.failure), (Skipped, case.skipped)):
        if text:
            test.result = [kind(safe(text))]
            break
    return test
