import pytest

from loadgen.errors import ProfileError
from loadgen.workload import library
from loadgen.workload.limit_set import read_limit_set

LIMIT = """
[[limit]]
counter = '\\A(*)\\c'
agg = "mean"
op = "<"
value = 5
unit = "ms"
for = "1m30s"
source = "here"
"""


def written(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text)
    return str(path)


def test_the_built_in_sets_are_those_of_the_literature():
    names = library.built_in_names("limits")
    assert names == (
        "client-side",
        "exchange2003",
        "exchange2007",
        "exchange2010",
        "exchange2010-scom",
        "exchange2013",
    )
    for name in names:
        found = read_limit_set(name)
        assert found.title
        assert all(limit.source for limit in found.limits)


def test_a_limit_reads_as_a_sentence(tmp_path):
    (limit,) = read_limit_set(written(tmp_path, LIMIT)).limits
    assert str(limit) == r"mean of \A(*)\c < 5 ms for 1m30s"
    assert limit.during == "run"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is neither a [[limit]] nor a threshold"),
        (LIMIT.replace("mean", "median"), "limit[0].agg: 'median' is not allowed; allowed: mean, max, min"),
        (LIMIT.replace("'\\A(*)\\c'", "'A'"), "limit[0].counter: 'A' is not \\Object\\Counter"),
        (LIMIT.replace("1m30s", "0s"), "limit[0].for: must be longer than 0s"),
        (LIMIT.replace("1m30s", "soon"), "limit[0].for: 'soon' is not a duration"),
        (LIMIT.replace("source", "sauce"), "limit[0].sauce: unknown key"),
        ('threshold = ["users.gone == 0"]', "threshold: 'users.gone == 0': users has no 'gone'"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(tmp_path, text, problem):
    with pytest.raises(ProfileError) as caught:
        read_limit_set(written(tmp_path, text))
    assert problem in str(caught.value)
    assert "own.toml" in str(caught.value)
