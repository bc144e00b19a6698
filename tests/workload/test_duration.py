import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.workload.duration import Duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("8h", 28800),
        ("45s", 45),
        ("1m30s", 90),
        ("250ms", 0.25),
        ("1h2m3s4ms", 3723.004),
        ("1.5h", 5400),
        ("0s", 0),
        ("5m", 300),
        ("2m5ms", 120.005),
    ],
)
def test_reads_what_people_write(text, seconds):
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "45", "-1s", "1s1m", "1 s", "s", "1d", "1e3s", "4mss", "nan s"])
def test_refuses_everything_else(text):
    with pytest.raises(ValueError, match="is not a duration such as '8h', '1m30s', '45s' or '250ms'"):
        Duration.parse(text)


@given(st.integers(0, 10**9))
def test_shows_text_that_reads_back(milliseconds):
    duration = Duration(milliseconds / 1000)
    assert Duration.parse(str(duration)) == pytest.approx(milliseconds / 1000, abs=1e-9)


def test_shows_the_shortest_text():
    assert [str(Duration(seconds)) for seconds in (0, 28800, 90, 0.25)] == ["0s", "8h", "1m30s", "250ms"]
