import pytest

from loadgen.engine.phases import DRAIN, HOLD, MEASURE, RAMP, poll_speed


@pytest.mark.parametrize(
    ("phase", "speed", "expected"),
    [(RAMP, 60, 60), (MEASURE, 1, 1), (MEASURE, 60, 60), (HOLD, 60, 1), (DRAIN, 1, 12), (DRAIN, 60, 60)],
)
def test_polls_run_with_the_day_but_not_in_the_hold(phase, speed, expected):
    assert poll_speed(phase, speed) == expected
