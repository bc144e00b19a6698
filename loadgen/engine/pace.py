"""A rate that is never passed, whatever falls due: the generic cell rate algorithm, with time passed in."""

from typing import Final

NS_PER_S: Final = 1_000_000_000


class Pace:
    """At most ``per_s`` events a second, up to a second's worth of them at once; None is without limit."""

    __slots__ = ("_gap_ns", "_spent_until_ns")

    def __init__(self, per_s: float | None = None) -> None:
        self._gap_ns = 0 if per_s is None else round(NS_PER_S / per_s)
        self._spent_until_ns = 0

    def take(self, now_ns: int) -> bool:
        """Whether an event may happen now; if so, it counts."""
        spent_until_ns = max(self._spent_until_ns, now_ns) + self._gap_ns
        if spent_until_ns - now_ns > max(NS_PER_S, self._gap_ns):
            return False
        self._spent_until_ns = spent_until_ns
        return True

    def reserve(self, now_ns: int) -> int:
        """How many nanoseconds an event that cannot be left out has to wait; one comes after the other."""
        start_ns = max(self._spent_until_ns, now_ns)
        self._spent_until_ns = start_ns + self._gap_ns
        return start_ns - now_ns
