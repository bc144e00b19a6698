"""How long a server waits for the next step of a recycling."""

from collections.abc import Callable
from typing import Protocol


class Closable(Protocol):
    """What cannot go on without that step."""

    def close(self) -> None:
        """End it."""


class Patience:
    """Steps that are waited for, ``limit_s`` seconds each, by what waits and a name.

    A step may begin when nobody knows the time: it is dated at the next look at the clock, for which ``wake``
    is called; the owner sets that.
    """

    def __init__(self, limit_s: float) -> None:
        self.wake: Callable[[], None] = _nobody
        self._limit_s = limit_s
        self._undated: dict[tuple[Closable, str], None] = {}
        self._dated: dict[tuple[Closable, str], float] = {}

    def begin(self, waiting: Closable, name: str) -> None:
        """Wait for a step, in place of the one before."""
        self._dated.pop((waiting, name), None)
        self._undated[waiting, name] = None
        self.wake()

    def end(self, waiting: Closable, name: str) -> None:
        """There is no step to wait for."""
        self._dated.pop((waiting, name), None)
        self._undated.pop((waiting, name), None)

    def next_timeout(self, now: float) -> float | None:
        """When :meth:`handle_timer` is to be called at the latest; None while nothing is waited for."""
        if self._undated:
            self._dated.update(dict.fromkeys(self._undated, now + self._limit_s))
            self._undated.clear()
        return next(iter(self._dated.values()), None)

    def handle_timer(self, now: float) -> None:
        """Close what has waited for too long."""
        late = {waiting: None for (waiting, _), deadline in self._dated.items() if deadline <= now}
        for waiting in late:
            waiting.close()


def _nobody() -> None:
    """Until somebody sets a ``wake`` of their own."""
