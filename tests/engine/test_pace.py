import pytest

from loadgen.engine.pace import NS_PER_S, Pace


@pytest.mark.parametrize(("per_s", "at_once"), [(0.5, 1), (1, 1), (10, 10), (2.5, 2)])
def test_a_second_of_events_may_come_at_once_and_then_they_keep_the_rate(per_s, at_once):
    pace = Pace(per_s)
    assert sum(pace.take(5) for _ in range(50)) == at_once
    taken = sum(pace.take(5 + step * NS_PER_S // 100) for step in range(1, 10_001))
    assert taken == pytest.approx(100 * per_s, abs=1)


def test_without_a_rate_nothing_is_refused_and_nothing_waits():
    pace = Pace()
    assert all(pace.take(0) for _ in range(1000))
    assert {pace.reserve(0) for _ in range(1000)} == {0}


def test_what_has_to_happen_waits_for_its_turn():
    pace = Pace(4)
    waits = [pace.reserve(0) for _ in range(3)]
    assert waits == [0, NS_PER_S // 4, NS_PER_S // 2]
    assert pace.reserve(10 * NS_PER_S) == 0
