"""Looks for the largest number of users that still passes: pure, each step from what happened so far.

Up by doubling (or by a fixed step) until a number fails; then between the last that passed and the first that
failed, at first where the failure itself points; and near the end one user at a time, since users who log on
at the same moment may take from each other what one of them alone would have had.
"""

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

NEAR: Final = 4
"""So near to the first number that failed, users come one at a time."""
MOST_MISSES: Final = 2

Verdict = Literal["held", "limit", "threshold", "generator"]


class Plateau(Struct, frozen=True, kw_only=True):
    """What happened with so many users: who came in, and what did not hold while they stayed."""

    users: int
    admitted: int
    """How many had all of their steady connections."""
    refused: int = 0
    first_refused: int | None = None
    """The number, from 0, of the first user who was refused: so many came in before him."""
    limit: str = ""
    """What refused them, where that is known."""
    broken: tuple[str, ...] = ()
    """Thresholds that did not hold, and why."""
    generator: tuple[str, ...] = ()
    """Bounds of the generator's own that were passed, and how far."""

    @property
    def verdict(self) -> Verdict:
        """What this number says. A limit has a name; whatever else fails while the generator does is its."""
        if self.limit:
            return "limit"
        if self.generator:
            return "generator"
        if self.refused:
            return "limit"
        return "threshold" if self.broken or self.admitted < self.users else "held"


class Search(Struct, frozen=True, kw_only=True):
    """How far the search has come. It never asks for more than ``ceiling`` users."""

    ceiling: int
    step: int = 0
    """How many users more each time on the way up; 0 doubles."""
    held: int = 0
    """The largest number that passed."""
    failed: Plateau | None = None
    """What happened with the smallest number that did not; None while the ceiling is all that is known."""
    hint: int | None = None
    """How many came in before one was refused: what there is room for, or nearly."""
    misses: int = 0
    """How many hints in a row have failed."""

    @property
    def next_users(self) -> int | None:
        """The number to try next; None when :attr:`held` is the answer."""
        if self.failed is None:
            return self._up if self.held < self.ceiling else None
        gap = self.failed.users - self.held
        if gap == 1:
            return None
        if self.hint is not None and self.hint > self.held:
            return self.hint
        if gap <= NEAR:
            return self.held + 1
        if self.hint is not None:  # it was too low: away from it in steps that grow with what it was short of
            beyond = self.held - self.hint
            return self.held + (1 if beyond < NEAR else min(beyond, gap // 2))
        return self.held + gap // 2

    def after(self, plateau: Plateau) -> "Search":
        """The search with what happened at :attr:`next_users`."""
        if plateau.verdict == "held":
            return replace(self, held=plateau.users, misses=0)
        # Hints that fail again and again lead nowhere: halves are sure.
        misses = self.misses + 1 if self.hint == plateau.users else 0
        first = plateau.first_refused
        hint = None if first is None or misses >= MOST_MISSES else max(first, self.held)
        return replace(self, failed=plateau, hint=hint, misses=misses)

    @property
    def _up(self) -> int:
        further = self.held + self.step if self.step else max(1, 2 * self.held)
        return min(further, self.ceiling)
