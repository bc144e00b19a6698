"""The time of the schedule: real time without the pauses. Nanoseconds, with the real clock passed in."""

from collections.abc import Callable

Clock = Callable[[], int]


class StandingClock:
    """A clock that can be made to stand. What is due by it shifts by each pause, and nothing bunches up."""

    __slots__ = ("_pauses", "_real", "_stood_since")

    def __init__(self, real: Clock) -> None:
        self._real = real
        self._pauses: list[tuple[int, int]] = []
        """From when until when it stood, in real time."""
        self._stood_since: int | None = None

    def __call__(self) -> int:
        """The schedule's time now."""
        return self.of(self._real())

    @property
    def stands(self) -> bool:
        """Whether there is a pause now."""
        return self._stood_since is not None

    @property
    def stood_ns(self) -> int:
        """How long it has stood in all, up to now."""
        now_ns = self._real()
        return now_ns - self.of(now_ns)

    def of(self, real_ns: int) -> int:
        """The schedule's time at a real one; of a time to come, as if there were no more pauses."""
        pauses = self._pauses if self._stood_since is None else [*self._pauses, (self._stood_since, real_ns)]
        return real_ns - sum(max(0, min(until, real_ns) - since) for since, until in pauses)

    def real(self, scheduled_ns: int) -> int:
        """When something is due, given that it has not been done yet; while the clock goes."""
        return scheduled_ns + sum(until - since for since, until in self._pauses)

    def when(self, scheduled_ns: int) -> int:
        """The real time at which the schedule's was this, before any pause that began just then."""
        for since, until in self._pauses:
            if since < scheduled_ns:
                scheduled_ns += until - since
        return scheduled_ns

    def stop(self) -> None:
        """Makes it stand, if it does not."""
        if self._stood_since is None:
            self._stood_since = self._real()

    def go(self) -> tuple[int, int] | None:
        """Lets it go on; returns since when it stood, and how long (real time), if it stood."""
        if self._stood_since is None:
            return None
        since, self._stood_since = self._stood_since, None
        until = self._real()
        self._pauses.append((since, until))
        return since, until - since
