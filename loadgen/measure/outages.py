"""Outages: from the first loss of a connection until as many users are admitted again as before."""

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from loadgen.measure.recorder import Refusal
from loadgen.measure.totals import Totals

Candidates = tuple[str, ...]
"""The limits that an error may mean."""


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds since the start of the run, to the interval; ``recovered_after_s`` is None if it never was.

    ``lost`` are the users who were missing at most, or came back, whichever are more; ``refused_by_limit``
    are the attempts to log on meanwhile that a limit refused, which are as many as users were impatient.
    """

    from_s: float
    admitted_before: int
    lost: int
    connections_lost: int
    recovered_after_s: float | None
    refused_by_limit: dict[str, int]


class _Course:
    """One outage while it is looked at; ``reconnects_before`` as all users' so far."""

    __slots__ = (
        "before",
        "connections_lost",
        "from_s",
        "lost",
        "reconnects_before",
        "recovered_s",
        "refused",
    )

    def __init__(self, from_s: float, before: int, reconnects_before: int) -> None:
        self.from_s = from_s
        self.before = before
        self.reconnects_before = reconnects_before
        self.lost = self.connections_lost = 0
        self.recovered_s: float | None = None
        self.refused: Counter[str] = Counter()


class OutageWatch:
    """Finds the outages of a run in its intervals. While one lasts, further losses belong to it.

    ``name_of`` says of a refusal of the interval which of several limits it was.
    """

    def __init__(self, name_of: Callable[[Candidates], str]) -> None:
        self._name_of = name_of
        self._courses: list[_Course] = []
        self._open: _Course | None = None
        self._admitted = self._connections_lost = self._reconnects = 0

    def add(self, from_s: float, until_s: float, totals: Totals, refusals: Iterable[Refusal]) -> None:
        """Takes one interval in: all that there is at its end, and who was refused in it."""
        newly_lost = totals.connections_lost - self._connections_lost
        if self._open is None and newly_lost > 0 and self._admitted:
            self._open = _Course(from_s, self._admitted, self._reconnects)
            self._courses.append(self._open)
        if self._open is not None:
            self._follow(self._open, newly_lost, until_s, totals, refusals)
        self._admitted = totals.users_admitted
        self._connections_lost, self._reconnects = totals.connections_lost, totals.reconnects

    def scale(self, users: int) -> None:
        """So many users are wanted from now on: more need not come back."""
        if self._open is not None:
            self._open.before = min(self._open.before, users)

    def outages(self) -> tuple[Outage, ...]:
        """What was found so far."""
        return tuple(_told(course) for course in self._courses)

    def _follow(
        self, course: _Course, newly_lost: int, until_s: float, totals: Totals, refusals: Iterable[Refusal]
    ) -> None:
        missing = course.before - totals.users_admitted
        came_back = totals.reconnects - course.reconnects_before
        course.lost = max(course.lost, missing, came_back)
        course.connections_lost += max(0, newly_lost)
        for refusal in refusals:
            course.refused[self._name_of(refusal.limits)] += refusal.count
        if missing <= 0:
            course.recovered_s = until_s
            self._open = None


def _told(course: _Course) -> Outage:
    recovered_s = course.recovered_s
    return Outage(
        from_s=course.from_s,
        admitted_before=course.before,
        lost=course.lost,
        connections_lost=course.connections_lost,
        recovered_after_s=None if recovered_s is None else round(recovered_s - course.from_s, 3),
        refused_by_limit=dict(course.refused),
    )
