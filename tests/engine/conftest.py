"""A loop whose time jumps: tests wait for hours in milliseconds, and every figure comes out exactly."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest


class JumpingSelector(selectors.SelectSelector):
    """Instead of sleeping until the next timer, moves the time there."""

    def __init__(self, time: "FakeTime") -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("the test waits for something that will never happen")
        if timeout > 0:
            self._time.now_ns = round((self._time.now_ns / 1e9 + timeout) * 1e9)
        return super().select(0)


class FakeTime:
    """Nanoseconds since the test began."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def stall(self, seconds: float) -> None:
        """Time passes while the loop does nothing else."""
        self.now_ns += round(seconds * 1e9)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self, time: FakeTime) -> None:
        self._fake_time = time
        super().__init__(JumpingSelector(time))

    def time(self) -> float:
        return self._fake_time.now_ns / 1e9


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@pytest.fixture
def run(clock: FakeTime) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on the loop whose time is ``clock``."""

    def run_to_end(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=lambda: JumpingLoop(clock)) as runner:
            return runner.run(main)

    return run_to_end
