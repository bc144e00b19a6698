"""What a comparison found: the layout of ``loadgen compare --json``."""

from typing import Final, Literal

from msgspec import Struct

from loadgen.compare.source import Kind, Moment

SCHEMA: Final = 1

Outcome = Literal["differs", "no_difference", "too_little_data", "not_measured"]
"""``no_difference``: none that counts and is beyond noise, where one that counts would have been seen."""


class Rules(Struct, frozen=True, kw_only=True):
    """What counts as a difference."""

    metrics: tuple[str, ...]
    """What was asked; all else is looked at beside."""
    at_least: float = 0.05
    """The smallest difference that counts, as a share of the baseline."""
    confidence: float = 0.95
    """Of all answers to what was asked together."""
    resamples: int = 1000
    seed: int = 1


class Side(Struct, frozen=True, kw_only=True):
    """One of the things that were compared; the first is the baseline."""

    label: str
    name: str
    kind: Kind
    path: str
    users: int | None
    verdict: str | None
    measured_s: float | None
    notes: tuple[str, ...]


class SettingDiffers(Struct, frozen=True):
    """A setting that runs do not have in common: its value in each, as JSON; None where it has none."""

    key: str
    values: dict[str, str | None]
    """By label; only runs have settings."""


class Counts(Struct, frozen=True, kw_only=True):
    """A column of the connection table at one moment, in each side; None where nobody could see it."""

    moment: Moment
    column: str
    connections: dict[str, int | None]
    per_user: dict[str, float | None]
    as_loadgen: int | None
    """What LoadGen would have opened for the baseline's users."""


class Finding(Struct, frozen=True, kw_only=True):
    """One figure of one side beside the baseline's."""

    metric: str
    unit: str
    label: str
    outcome: Outcome
    baseline: float | None
    value: float | None
    ratio: float | None = None
    low: float | None = None
    """The ratio's interval of confidence, at ``level``."""
    high: float | None = None
    level: float | None = None
    p: float | None = None
    """How likely so large a difference is if there is none."""
    family: int = 1
    """Out of how many answers this is one; they are corrected for together."""
    blocks: tuple[float, ...] = ()
    """Into how many blocks baseline and side were cut."""
    beyond_noise: bool = False
    """Whether there is a difference at all, however small."""
    needed: str = ""
    """What it would take to tell."""

    @property
    def change(self) -> float | None:
        """By what share of the baseline it is more."""
        return None if self.ratio is None else self.ratio - 1


class Figure(Struct, frozen=True):
    """A figure of which nobody knows how sure it is, in each side; None where it was not measured."""

    path: str
    values: dict[str, float | None]


class ConditionResult(Struct, frozen=True, kw_only=True):
    """How one ``--fail-on`` fared for one side."""

    text: str
    label: str
    met: bool
    """Met is bad: the comparison fails."""
    why: str


class Comparison(Struct, frozen=True, kw_only=True):
    """The whole of ``loadgen compare --json``."""

    schema: int = SCHEMA
    rules: Rules
    sides: tuple[Side, ...]
    warnings: tuple[str, ...]
    """What forbids, or weakens, a conclusion."""
    settings: tuple[SettingDiffers, ...]
    connections: tuple[Counts, ...]
    asked: tuple[Finding, ...]
    """One for each metric that was asked for and each side but the baseline."""
    beside: tuple[Finding, ...]
    """All other latencies and rates, corrected among themselves: a hint where to look, no answer."""
    figures: tuple[Figure, ...]
    conditions: tuple[ConditionResult, ...]
    exit_code: int
