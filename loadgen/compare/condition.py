"""``--fail-on``: what a side must not be, or not be beside the baseline. The grammar is that of thresholds.

``path op number`` is about the side alone. With a sign, ``+10%`` or ``-5``, the number is a change from the
baseline: a share of it, or in the figure's own unit.
"""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from loadgen.compare.metric import PATHS
from loadgen.compare.wording import figure
from loadgen.errors import ProfileError
from loadgen.measure import threshold
from loadgen.measure.threshold import OPERATORS, Document, Number

_CONDITION: Final = re.compile(
    r"\s*(?P<path>[\w.-]+)\s*(?P<op><=|>=|==|!=|<|>)\s*(?P<sign>[-+]?)(?P<number>\d+(?:\.\d+)?)(?P<share>%?)\s*"
)


class Condition(Struct, frozen=True):
    """One condition under which a comparison fails."""

    path: str
    op: str
    number: float
    is_change: bool
    is_share: bool
    """Whether ``number`` is in per cent of the baseline."""

    def __str__(self) -> str:
        sign = "+" if self.is_change else ""
        return f"{self.path} {self.op} {self.number:{sign}g}{'%' if self.is_share else ''}"

    def measured(self, baseline: Document, side: Document) -> float | None:
        """What is held against the number; None if it was not measured."""
        value, base = self._value_in(side), self._value_in(baseline)
        if value is None or (self.is_change and base is None):
            return None
        if not self.is_change or base is None:
            return float(value)
        if not self.is_share:
            return float(value - base)
        if not base:
            return float("inf") if value else 0.0
        return 100 * (value - base) / base

    def is_met_by(self, measured: float) -> bool:
        """Whether the comparison fails for that."""
        return OPERATORS[self.op](measured, self.number)

    def said(self, measured: float) -> str:
        """The measured figure in the form of the number."""
        sign = "-" if measured < 0 else "+" if self.is_change else ""
        return f"{sign}{figure(abs(measured))}{' %' if self.is_share else ''}"

    def _value_in(self, document: Document) -> Number | None:
        return threshold.Threshold(self.path, self.op, self.number).value_in(document)


def parse_condition(text: str) -> Condition:
    """Reads one condition; raises :class:`~loadgen.errors.ProfileError` that says what is allowed instead."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ProfileError(
            f"option: fail-on: {text!r} is not 'path op number', 'path op +10%' or 'path op -5', "
            f"where op is one of {' '.join(OPERATORS)}"
        )
    if match["share"] and not match["sign"]:
        raise ProfileError(
            f"option: fail-on: {text!r}: per cent are of the baseline; write +{match['number']}% or "
            f"-{match['number']}%"
        )
    threshold.check_path(match["path"], text, PATHS)
    number = float(match["sign"] + match["number"])
    return Condition(match["path"], match["op"], number, bool(match["sign"]), bool(match["share"]))


def parse_conditions(texts: Iterable[str]) -> tuple[Condition, ...]:
    """Reads conditions; raises :class:`~loadgen.errors.ProfileError` for the first that is wrong."""
    return tuple(parse_condition(text) for text in texts)
