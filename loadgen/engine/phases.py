"""The phases of a run, in order, and what each of them means for the books."""

from typing import Final

from loadgen.measure.recorder import TrafficKind

RAMP: Final = "ramp"
STARTUP: Final = "start-up"
WARMUP: Final = "warm-up"
MEASURE: Final = "measure"
PAUSE: Final = "pause"
"""Within warm-up or measured phase, when asked for: nothing falls due. Afterwards that phase goes on."""
HOLD: Final = "hold"
DRAIN: Final = "drain"
LOG_OFF: Final = "log off"

AFTER_MEASURE: Final = (HOLD, DRAIN)

BACKGROUND: Final[dict[str, TrafficKind | None]] = {
    RAMP: "startup",
    STARTUP: "startup",
    WARMUP: None,
    MEASURE: "receiving",
    PAUSE: None,
    HOLD: "idle",
    DRAIN: None,
    LOG_OFF: None,
}
"""Whose traffic the bytes of a phase are, but for those of the day's operations; None is nobody's."""

DRAIN_POLL_SPEED: Final = 12.0
"""A poll that comes every minute comes every five seconds in the drain, which would else end before it."""


def poll_speed(phase: str, speed: float) -> float:
    """How much faster than real time users poll: as the day runs, but in real time while they only hold."""
    if phase == HOLD:
        return 1.0
    return max(speed, DRAIN_POLL_SPEED) if phase == DRAIN else speed
