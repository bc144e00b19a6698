"""The phases of a run, in order, and what each of them means for the books."""

from typing import Final

from loadgen.measure.recorder import TrafficKind

RAMP: Final = "ramp"
STARTUP: Final = "start-up"
WARMUP: Final = "warm-up"
MEASURE: Final = "measure"
HOLD: Final = "hold"
DRAIN: Final = "drain"
LOG_OFF: Final = "log off"

AFTER_MEASURE: Final = (HOLD, DRAIN)
PHASES: Final = (RAMP, STARTUP, WARMUP, MEASURE, HOLD, DRAIN, LOG_OFF)

BACKGROUND: Final[dict[str, TrafficKind | None]] = {
    RAMP: "startup",
    STARTUP: "startup",
    WARMUP: None,
    MEASURE: "receiving",
    HOLD: "idle",
    DRAIN: None,
    LOG_OFF: None,
}
"""Whose traffic the bytes of a phase are, but for those of the day's operations; None is nobody's."""

BARRIERS: Final = ("peak", "steady")
