"""The search as a game: a target of known size answers, and every number that is asked for is known."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.capacity.search import NEAR, Plateau, Search


def held(users):
    return Plateau(users=users, admitted=users)


def refused(users, admitted, limit="ports"):
    return Plateau(
        users=users, admitted=admitted, refused=users - admitted, first_refused=admitted, limit=limit
    )


def too_slow(users):
    return Plateau(users=users, admitted=users, broken=("p95 < 100 does not hold",))


def target(size, fails, users):
    """Holds so many users; more of them fail in this way."""
    return held(users) if users <= size else fails(users)


def limited_to(size, squabbling=0):
    """Some of those who are refused would have found room, had they come alone."""
    return partial(
        target, size, lambda users: refused(users, size if users == size + 1 else size - squabbling)
    )


def slow_beyond(size):
    return partial(target, size, too_slow)


def play(search, answer):
    """All numbers that were asked for, and the search at its end."""
    asked = []
    while (users := search.next_users) is not None:
        asked.append(users)
        search = search.after(answer(users))
    return asked, search


@pytest.mark.parametrize(
    ("ceiling", "step", "answer", "asked", "found"),
    [
        (100, 0, limited_to(40), [1, 2, 4, 8, 16, 32, 64, 40, 41], 40),
        (100, 0, slow_beyond(40), [1, 2, 4, 8, 16, 32, 64, 48, 40, 44, 41], 40),
        (50, 20, limited_to(40), [20, 40, 50, 41], 40),
        (50, 0, limited_to(50), [1, 2, 4, 8, 16, 32, 50], 50),
        (8, 0, limited_to(7), [1, 2, 4, 8, 7], 7),
        (8, 3, limited_to(8), [3, 6, 8], 8),
        (100, 30, limited_to(0), [30, 1], 0),
        (100, 30, slow_beyond(0), [30, 15, 7, 3, 1], 0),
        (1, 0, limited_to(0), [1], 0),
        (100, 0, limited_to(40, squabbling=3), [1, 2, 4, 8, 16, 32, 64, 37, 38, 39, 40, 41], 40),
    ],
)
def test_what_is_asked_and_what_is_found(ceiling, step, answer, asked, found):
    steps, search = play(Search(ceiling=ceiling, step=step), answer)
    assert (steps, search.held) == (asked, found)
    assert (search.failed is None) == (found == ceiling)


def test_a_hint_that_fails_is_followed_by_halves():
    """Of a mix, light users may come in after a heavy one was refused: more than there is room for."""
    answer = partial(target, 40, lambda users: refused(users, users - 1))
    asked, search = play(Search(ceiling=200), answer)
    assert search.held == 40
    assert asked[6:11] == [64, 63, 62, 47, 46]


@pytest.mark.parametrize(
    ("plateau", "verdict"),
    [
        (held(3), "held"),
        (refused(3, 2), "limit"),
        (refused(3, 2, ""), "limit"),
        (Plateau(users=3, admitted=2, refused=1, limit="ports", generator=("lag",)), "limit"),
        (Plateau(users=3, admitted=2, refused=1, generator=("lag",)), "generator"),
        (Plateau(users=3, admitted=3, broken=("slow",), generator=("lag",)), "generator"),
        (too_slow(3), "threshold"),
        (Plateau(users=3, admitted=2), "threshold"),
    ],
)
def test_what_a_plateau_says(plateau, verdict):
    assert plateau.verdict == verdict


@given(
    ceiling=st.integers(1, 100_000),
    share=st.floats(0, 1.2),
    squabbling=st.integers(0, 1000),
    knows=st.booleans(),
    step=st.one_of(st.just(0), st.integers(1000, 5000)),
)
def test_any_size_is_found_exactly_in_few_steps(ceiling, share, squabbling, knows, step):
    size = round(ceiling * share)
    answer = limited_to(size, min(squabbling, size)) if knows else slow_beyond(size)
    asked, search = play(Search(ceiling=ceiling, step=step), answer)
    assert search.held == min(size, ceiling)
    assert max(asked) <= ceiling
    assert len(set(asked)) == len(asked)
    way_up = -(-ceiling // step) if step else ceiling.bit_length() + 1
    assert len(asked) <= way_up + 3 * ceiling.bit_length() + 2 * NEAR


@given(ceiling=st.integers(1, 5000), size=st.integers(0, 5000), data=st.data())
def test_whatever_comes_in_when_others_are_refused_the_size_is_found(ceiling, size, data):
    """Hints may be anything at all."""
    answer = partial(
        target, size, lambda users: refused(users, data.draw(st.integers(0, users - 1)), limit="")
    )
    asked, search = play(Search(ceiling=ceiling), answer)
    assert search.held == min(size, ceiling)
    assert len(asked) <= (4 + NEAR) * ceiling.bit_length()
