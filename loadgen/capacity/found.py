"""What a search for the capacity found: the layout of ``capacity.json``, and its verdict."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from loadgen.capacity.ceilings import Ceiling
from loadgen.capacity.search import Plateau, Search, Verdict
from loadgen.errors import ProfileError
from loadgen.measure.limits import LimitReading
from loadgen.measure.threshold import (
    EXIT_FAIL,
    EXIT_INVALID,
    EXIT_PASS,
    Bounds,
    Document,
    Judgement,
    Threshold,
    generator_problems,
)
from loadgen.measure.threshold import Verdict as RunVerdict
from loadgen.report.summary import Cell, Generator

SCHEMA: Final = 1
MORE_GENERATOR: Final = (
    "the target could do more: give the generator more workers and cores (lag, busy), more descriptors "
    "(ulimit -Hn), or more source_ip (ports)"
)

_AT_BARRIERS: Final = ("connections.peak.", "connections.steady.")
_LATENCY: Final = re.compile(r"(operations\.\w+\.\w+_ms|set_up|generator\.lag_ms)\..+")
_OF_COMING_AND_GOING: Final = ("operations.log_on.", "operations.log_off.", "set_up.")

StoppedBy = Literal["limit", "threshold", "generator", "ceiling", "nothing"]
"""What kept the search from a larger number; ``nothing``: the search itself ended before that was known."""


class Reading(Struct, frozen=True):
    """A server's counters of one limit at one moment."""

    in_use: float
    of: float
    hits: int

    @classmethod
    def of_limit(cls, reading: LimitReading | None) -> "Reading | None":
        """Without the names; None for none."""
        return None if reading is None else cls(reading.in_use, reading.of, reading.hits)


class Evidence(Struct, frozen=True, kw_only=True):
    """Why it is this limit: its counters before and after, and what the first refused user saw."""

    before: Reading | None = None
    after: Reading | None = None
    first_error: str = ""
    user: int | None = None
    """His number, from 0."""


class Planned(Struct, frozen=True, kw_only=True):
    """What arithmetic says of the same users on this topology; ``users`` is None if nothing ever ends it."""

    topology: str
    users: int | None
    limit: str | None = None
    server: str | None = None
    agrees: bool | None = None
    """Whether the search found the same; None if it ended for another reason."""


class Step(Struct, frozen=True, kw_only=True):
    """One number that was tried, and what came of it."""

    time_s: float
    """Since the start of the run, at the end of the step."""
    users: int
    admitted: int
    verdict: Verdict
    reasons: tuple[str, ...] = ()


class Mix(Struct, frozen=True):
    """Of the users admitted, those of one kind."""

    users: int
    client: str
    profile: str


class Capacity(Struct, frozen=True, kw_only=True):
    """The whole of ``capacity.json``."""

    schema: int = SCHEMA
    campaign: str
    target: str
    verdict: RunVerdict
    reasons: tuple[str, ...]
    exit_code: int
    users: int
    """The largest number that passed."""
    stopped_by: StoppedBy
    limit: str | None = None
    server: str | None = None
    ceiling: int
    """The largest number that was allowed."""
    startup: bool
    """Whether users held what only starting needs."""
    hold_only: bool
    plateau_s: float
    groups: tuple[Mix, ...] = ()
    evidence: Evidence | None = None
    plan: Planned | None = None
    connections: dict[str, Cell] = {}
    """TCP connections by column with that many users, counted while nobody opened or closed any."""
    steps: tuple[Step, ...] = ()
    generator: Generator


def require_judgeable(thresholds: Iterable[Threshold], *, hold_only: bool) -> None:
    """Raises :class:`~loadgen.errors.ProfileError` for a threshold on what no plateau has: all would fail."""
    for each in thresholds:
        if lack := _lack_of_plateaus(each.path, hold_only=hold_only):
            raise ProfileError(f"threshold: {str(each)!r}: a search for the capacity judges plateaus, {lack}")


def _lack_of_plateaus(path: str, *, hold_only: bool) -> str:
    """Why a number of a summary has no value in plateaus; "" if it may have one."""
    if path.startswith(_AT_BARRIERS):
        return f"and {path} is counted at the barriers of a run"
    if not _LATENCY.fullmatch(path):
        return ""
    if path.startswith(_OF_COMING_AND_GOING):
        return "in which nobody comes or goes"
    return "and users who only hold their connections do no work in them" if hold_only else ""


def judge_plateau(
    document: Document, thresholds: Sequence[Threshold], bounds: Bounds, of_set: Sequence[Threshold] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What did not hold in a plateau, and which bounds of its own the generator passed.

    ``document`` is a summary of that interval alone, which is the window of thresholds over windows too.
    Without ``thresholds`` nothing may fail or be lost, whatever a limit set says in ``of_set``.
    """
    whole = (replace(each, over_s=0.0) for each in (*thresholds, *of_set))
    broken = [why for each in whole if (why := each.check(document).why)]
    broken += [each["why"] for each in document["limit_results"] if each["held"] is False]
    skipped = 0
    for name, operation in document["operations"].items():
        skipped += operation["skipped"]
        if operation["failed"] and not thresholds:
            broken.append(f"{name}: {operation['failed']:,} failed")
    if skipped:
        broken.append(f"target_overloaded: {skipped:,} arrivals skipped")
    if document["connections"]["lost"] and not thresholds:
        broken.append(f"{document['connections']['lost']:,} virtual connections were lost")
    return tuple(broken), tuple(generator_problems(document["generator"], bounds))


def judge_search(search: Search) -> Judgement:
    """The verdict of a search that came to its end: an answer passes, whatever stopped it but ourselves."""
    failed = search.failed
    if failed is not None and failed.verdict == "generator":
        return Judgement("INVALID", (*failed.generator, MORE_GENERATOR), EXIT_INVALID)
    if failed is not None and not search.held:
        return Judgement("FAIL", ("not even one user passes", *reasons_of(failed)), EXIT_FAIL)
    return Judgement("PASS", (), EXIT_PASS)


def stopped_by(search: Search) -> StoppedBy:
    """What the number that failed says, or that none did."""
    if search.next_users is not None:
        return "nothing"
    if search.failed is None:
        return "ceiling"
    verdict = search.failed.verdict
    return "nothing" if verdict == "held" else verdict


def reasons_of(plateau: Plateau) -> tuple[str, ...]:
    """Why a number failed, one line each."""
    refused = f"{plateau.refused:,} refused: {plateau.limit or 'by no limit that is known'}"
    return (*((refused,) if plateau.refused else ()), *plateau.broken, *plateau.generator)


def compare(topology: str, ceiling: Ceiling | None, search: Search, server: str | None) -> Planned:
    """The plan beside what was found. Without counters nobody knows the server, so the limit decides."""
    stopped = stopped_by(search)
    if ceiling is None:
        return Planned(topology=topology, users=None, agrees={"ceiling": True, "limit": False}.get(stopped))
    agrees = None
    if stopped == "ceiling":
        agrees = None if search.held <= ceiling.users else False
    elif stopped == "limit" and search.failed is not None:
        same_limit = search.failed.limit == ceiling.limit and server in (None, ceiling.server)
        agrees = search.held == ceiling.users and same_limit
    return Planned(
        topology=topology,
        users=ceiling.users,
        limit=ceiling.limit,
        server=ceiling.server,
        agrees=agrees,
    )


def moved(before: Sequence[LimitReading], after: Sequence[LimitReading]) -> list[LimitReading]:
    """The limits of ``after`` that were hit since."""
    hits: Mapping[tuple[str, str], int] = {(each.name, each.server): each.hits for each in before}
    return [each for each in after if each.hits > hits.get((each.name, each.server), 0)]
