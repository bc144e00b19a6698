"""A limit that each user meets alone: so many sessions, whoever else is there."""

from collections import Counter

from mock_server.limits.table import LimitName, limit_counters


class UserLimit:
    """How many of something each user of a server has; ``of`` is the limit, and 0 switches it off."""

    def __init__(self, name: LimitName, of: int) -> None:
        self._name: LimitName = name
        self._of = of
        self._hits = 0
        self._in_use: Counter[str] = Counter()

    @property
    def users(self) -> int:
        """How many users have at least one."""
        return len(self._in_use)

    def take(self, user: str) -> bool:
        """One more for ``user``; False, and a hit, if that would be one too many."""
        if self._of and self._in_use[user] >= self._of:
            self._hits += 1
            return False
        self._in_use[user] += 1
        return True

    def give_back(self, user: str) -> None:
        """One less for ``user``."""
        self._in_use[user] -= 1
        if not self._in_use[user]:
            del self._in_use[user]

    def report(self) -> dict[str, float]:
        """The counters of the limit: in use is what the user with the most has; none if it is off."""
        if not self._of:
            return {}
        return limit_counters(self._name, max(self._in_use.values(), default=0), self._of, self._hits)
