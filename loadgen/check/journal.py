"""What became of each step so far."""

from collections.abc import Awaitable
from time import monotonic_ns
from typing import TypeVar

from loadgen.check.finding import Finding
from loadgen.check.known_failures import known
from loadgen.check.result import Step
from loadgen.errors import PeerError
from loadgen.trace.tracer import Tracer

T = TypeVar("T")


class Journal:
    """Times the steps of ``names``, and looks failures up in the table of known ones."""

    def __init__(self, names: tuple[str, ...], tried: tuple[str, ...], tracer: Tracer) -> None:
        self._names = names
        self._tried = tried
        self._tracer = tracer
        self._steps: dict[str, Step] = {}

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in their order; those that nobody spoke of are skipped."""
        return tuple(
            self._steps.get(name) or Step(name=name, outcome="skipped", detail="not tried")
            for name in self._names
        )

    @property
    def failures(self) -> frozenset[str]:
        """Names of the known failures that have been met."""
        return frozenset(step.failure for step in self._steps.values() if step.failure)

    async def run(self, name: str, work: Awaitable[tuple[T, str]]) -> T | None:
        """Does the work of a step, which gives its result and a detail to show; None if it fails."""
        started_ns = monotonic_ns()
        try:
            result, detail = await work
        except PeerError as error:
            self.failed(name, error, since(started_ns))
            return None
        self.passed(name, detail, since(started_ns))
        return result

    def outcome(self, name: str) -> str:
        """``passed``, ``failed``, ``skipped``, or "" so far."""
        step = self._steps.get(name)
        return "" if step is None else step.outcome

    def passed(self, name: str, detail: str, ms: float) -> None:
        """A step worked."""
        self._steps[name] = Step(name=name, outcome="passed", ms=round(ms, 3), detail=detail)

    def failed(self, name: str, error: PeerError, ms: float) -> None:
        """A step did not work."""
        row = known(Finding(name, error, self._tried, self._tracer.cut_short))
        self._steps[name] = Step(
            name=name,
            outcome="failed",
            ms=round(ms, 3),
            detail=str(error) or type(error).__name__,
            failure=row.name if row else "",
            meaning=row.meaning if row else "This failure is not known to us.",
            remedy=row.remedy if row else "Write a trace (--trace FILE) and look where it ends.",
        )

    def skipped(self, names: tuple[str, ...], why: str) -> None:
        """Steps could not be tried; those that have been stay as they are."""
        for name in names:
            self._steps.setdefault(name, Step(name=name, outcome="skipped", detail=why))


def since(started_ns: int) -> float:
    """Milliseconds."""
    return (monotonic_ns() - started_ns) / 1e6
