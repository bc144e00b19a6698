"""Lengths of time as people write them in a profile: ``8h``, ``45s``, ``1m30s``, ``250ms``."""

import re
from typing import Final, Self

_UNITS: Final = (("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001))
_DURATION: Final = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?!s))?"
    r"(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?"
)


class Duration(float):
    """A length of time in seconds that is written and shown as text."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads hours, minutes, seconds and milliseconds in this order; raises ``ValueError``."""
        match = _DURATION.fullmatch(text)
        if match is None or not text:
            raise ValueError(f"{text!r} is not a duration such as '8h', '1m30s', '45s' or '250ms'")
        return cls(sum(float(match[unit]) * seconds for unit, seconds in _UNITS if match[unit]))

    def __str__(self) -> str:
        parts = []
        left_ms = round(self * 1000)
        for unit, seconds in _UNITS:
            count, left_ms = divmod(left_ms, round(seconds * 1000))
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"
