"""Thresholds over ``summary.json``, and the verdict: pure functions of the summary and the run's ending."""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Literal

import msgspec

from loadgen.errors import ProfileError
from loadgen.measure.columns import COLUMNS
from loadgen.measure.histogram import PERCENTILES
from loadgen.measure.limits import COUNTED_IN_SECONDS, LIMITS, UNKNOWN
from loadgen.measure.sample import LAYERS, OK, OPERATIONS, OUTCOMES

Number = int | float
Verdict = Literal["PASS", "FAIL", "INVALID"]
Document = Mapping[str, Any]
"""``summary.json`` as plain values."""

EXIT_PASS: Final = 0
EXIT_BUG: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_INVALID: Final = 98
EXIT_FAIL: Final = 99
EXIT_INTERRUPTED: Final = 130

OPERATORS: Final[dict[str, Callable[[Number, Number], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_THRESHOLD: Final = re.compile(
    r"\s*(?P<path>[\w.-]+)\s*(?P<op><=|>=|==|!=|<|>)\s*(?P<number>[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
    r"(?:\s+over\s+(?P<length>\d+(?:\.\d+)?)(?P<unit>[smh]))?\s*"
)
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600}
_OVER_WINDOWS: Final = re.compile(
    r"(operations|set_up|failures|generator\.lag_ms)\..+|users\.(refused|reconnects|lost)|connections\.lost"
)
"""What has a value in each window; the rest is of the run as a whole."""

_ANY: Final = "*"
_LEAF: Final[dict[str, Any]] = {}
_LATENCY: Final = dict.fromkeys((*PERCENTILES, "max"), _LEAF)
_PARTIES: Final = dict.fromkeys(("expected", "client", "kernel", "mock"), _LEAF)
_TABLE: Final = dict.fromkeys(COLUMNS, _PARTIES)
_OPERATION: Final = {
    **dict.fromkeys(("planned", "done", "failed", "skipped"), _LEAF),
    "response_ms": _LATENCY,
    "service_ms": _LATENCY,
}
PATHS: Final[dict[str, Any]] = {
    "users": {
        **dict.fromkeys(
            ("planned", "logged_on_peak", "admitted_peak", "refused", "reconnects", "lost"), _LEAF
        ),
        "refused_by_limit": dict.fromkeys((*LIMITS, UNKNOWN), _LEAF),
    },
    "operations": dict.fromkeys(OPERATIONS, _OPERATION),
    "connections": {"peak": _TABLE, "steady": _TABLE, "lost": _LEAF},
    "traffic": {_ANY: {_ANY: dict.fromkeys(("sending", "aggregate", "idle_per_hour"), _LEAF)}},
    "set_up": dict.fromkeys(LAYERS, _LATENCY),
    "failures": dict.fromkeys((outcome for outcome in OUTCOMES if outcome != OK), _LEAF),
    "generator": {
        "lag_ms": _LATENCY,
        **dict.fromkeys(
            ("cpu_s", "busy_peak", "descriptors_use_peak", "ports_use_peak", "memory_per_user_kb", "clamped"),
            _LEAF,
        ),
    },
}
"""Every number that a threshold may name, as a tree; ``*`` is any client type or message profile."""


class Worst(msgspec.Struct, frozen=True):
    """The window that holds a threshold least; times in seconds since the run began."""

    value: Number
    from_s: float
    until_s: float


class ThresholdResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a threshold fared. Over windows, ``measured`` is of the worst one, which was from … until …"""

    text: str
    held: bool
    measured: Number | None
    """None if there is no such value, which does not hold."""
    worst_from_s: float | None = None
    worst_until_s: float | None = None

    @property
    def why(self) -> str:
        """Why it does not hold; "" if it does."""
        if self.held:
            return ""
        if self.measured is None:
            return f"{self.text} does not hold: there is no such value in this run"
        if self.worst_from_s is None or self.worst_until_s is None:
            return f"{self.text} does not hold: it is {self.measured:g}"
        when = f"from {self.worst_from_s:.0f} s to {self.worst_until_s:.0f} s of the run"
        return f"{self.text} does not hold: it is {self.measured:g} {when}"


class Threshold(msgspec.Struct, frozen=True):
    """``path op number``, such as ``users.refused == 0``, with or without ``over 60s``."""

    path: str
    op: str
    number: float
    over_s: float = 0.0
    """Length of the windows each of which has to hold; 0 for the run as a whole."""

    def __str__(self) -> str:
        over = f" over {self.over_s:g}s" if self.over_s else ""
        return f"{self.path} {self.op} {self.number:g}{over}"

    def value_in(self, document: Document) -> Number | None:
        """The number that this is about, None where it was not measured."""
        value: Any = document
        for step in self.path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value if isinstance(value, int | float) else None

    def check(self, document: Document, worst: Mapping["Threshold", Worst] | None = None) -> ThresholdResult:
        """Whether this holds for a summary, or for the worst window; what was not measured does not."""
        window = (worst or {}).get(self)
        value = self.value_in(document) if not self.over_s else None if window is None else window.value
        return ThresholdResult(
            text=str(self),
            held=value is not None and OPERATORS[self.op](value, self.number),
            measured=value,
            worst_from_s=None if window is None else window.from_s,
            worst_until_s=None if window is None else window.until_s,
        )


def badness(op: str, number: Number, value: Number) -> float:
    """A measure by which the worst of several values is found, of which each has to be ``op number``."""
    if op in ("<", "<="):
        return float(value)
    if op in (">", ">="):
        return -float(value)
    distance = abs(value - number)
    return distance if op == "==" else -distance


def parse(text: str) -> Threshold:
    """Reads one threshold; raises :class:`~loadgen.errors.ProfileError` that says what is allowed instead."""
    match = _THRESHOLD.fullmatch(text)
    if match is None:
        form = "'path op number over 60s' (or m, h)" if " over" in text else "'path op number'"
        raise ProfileError(f"{text!r} is not {form}, where op is one of {' '.join(OPERATORS)}")
    check_path(match["path"], text)
    over_s = float(match["length"]) * _UNITS_S[match["unit"]] if match["length"] else None
    if over_s == 0:
        raise ProfileError(f"{text!r}: a window must be longer than 0s")
    if over_s and not _OVER_WINDOWS.fullmatch(match["path"]):
        raise ProfileError(f"{text!r}: {match['path']} is of the run as a whole; leave 'over …' out")
    return Threshold(match["path"], match["op"], float(match["number"]), over_s or 0.0)


def check_path(path: str, text: str, tree: Mapping[str, Any] = PATHS) -> None:
    """Sees whether ``tree`` has a number of this path; raises :class:`~loadgen.errors.ProfileError`.

    ``text`` is what the path was found in.
    """
    branch, steps = tree, path.split(".")
    for depth, step in enumerate(steps):
        below = branch.get(step, branch.get(_ANY))
        if below is None:
            where = ".".join(steps[:depth]) or "the summary"
            allowed = f"allowed: {', '.join(branch)}" if branch else "it is a number"
            raise ProfileError(f"{text!r}: {where} has no {step!r}; {allowed}{_nearest(path, tree)}")
        branch = below
    if branch:
        raise ProfileError(f"{text!r}: {path} is not a number; go on with one of: {', '.join(branch)}")


def _nearest(path: str, tree: Mapping[str, Any]) -> str:
    near = get_close_matches(path, _all_paths(tree), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _all_paths(tree: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for step, below in tree.items():
        yield from _all_paths(below, f"{above}{step}.") if below else (above + step,)


def parse_all(texts: Iterable[str]) -> tuple[Threshold, ...]:
    """Reads thresholds; raises one :class:`~loadgen.errors.ProfileError` for all that are wrong."""
    thresholds, wrong = [], []
    for text in texts:
        try:
            thresholds.append(parse(text))
        except ProfileError as error:
            wrong.append(str(error))
    if wrong:
        raise ProfileError("; ".join(wrong))
    return tuple(thresholds)


class Bounds(msgspec.Struct, frozen=True):
    """Beyond these the generator was the bottleneck."""

    lag_ms: float = 100.0
    busy: float = 0.85
    use: float = 0.95


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended, apart from what it measured."""

    bug: str | None = None
    """An error of ours that stopped it."""
    interrupted: bool = False
    stopped: str = ""
    """Who asked for a good end before the time; what was measured until then is judged."""
    unreachable: str | None = None
    """The target could not be reached, or refused the first user: why."""
    aborted: str | None = None
    """The ``abort_on`` threshold that an interval broke, or how the target ended."""
    broken: tuple[str, ...] = ()
    """What of the generator itself gave way: a worker process, the disk."""
    uncounted: tuple[str, ...] = ()
    """Who should have counted the connections at a barrier and could not, and why."""


class Judgement(msgspec.Struct, frozen=True):
    """The verdict, why, and the exit code that says so."""

    verdict: Verdict
    reasons: tuple[str, ...]
    exit_code: int


def judge(
    document: Document,
    thresholds: Sequence[Threshold],
    bounds: Bounds | None = None,
    ending: Ending | None = None,
    *,
    worst: Mapping[Threshold, Worst] | None = None,
    not_met: Sequence[str] = (),
) -> Judgement:
    """The verdict over a summary. Of several exit codes the first of 1, 130, 3, 98, 99, 0 wins.

    ``worst`` are the worst windows of thresholds over windows, ``not_met`` is what a limit set adds.
    """
    bounds, ending = bounds or Bounds(), ending or Ending()
    invalid = [*ending.broken, *generator_problems(document["generator"], bounds)]
    if thresholds:
        failed = [why for threshold in thresholds if (why := threshold.check(document, worst).why)]
    else:
        failed = [*_default_problems(document), *ending.uncounted]
    failed += not_met
    skipped = sum(operation["skipped"] for operation in document["operations"].values())
    if skipped and not invalid:
        failed.insert(
            0,
            f"target_overloaded: {skipped:,} arrivals skipped while the generator kept time: "
            "too many operations waited for the target",
        )
    if ending.aborted:
        failed.insert(0, f"aborted: {ending.aborted}")

    if ending.bug:
        return Judgement("INVALID", (f"a bug of ours: {ending.bug}", *invalid, *failed), EXIT_BUG)
    if ending.interrupted:
        return Judgement("INVALID", ("interrupted before the end", *invalid, *failed), EXIT_INTERRUPTED)
    if ending.unreachable:
        return Judgement("FAIL", (ending.unreachable,), EXIT_UNREACHABLE)
    if invalid:
        return Judgement("INVALID", (*invalid, *failed), EXIT_INVALID)
    if failed:
        return Judgement("FAIL", tuple(failed), EXIT_FAIL)
    return Judgement("PASS", (), EXIT_PASS)


def generator_problems(generator: Document, bounds: Bounds) -> list[str]:
    """Which of its bounds the generator passed, by the part ``generator`` of a summary, and what helps."""
    problems = []
    lag_ms = generator["lag_ms"]["p99"]
    if lag_ms is not None and lag_ms > bounds.lag_ms:
        problems.append(
            f"the generator lagged: p99 {lag_ms:.1f} ms, more than {bounds.lag_ms:g} ms; "
            "give it a machine with nothing else to do, or fewer users"
        )
    if generator["busy_peak"] > bounds.busy:
        problems.append(
            f"a worker was busy {generator['busy_peak']:.0%} of ten seconds, more than {bounds.busy:.0%}; "
            "give more workers, or fewer users"
        )
    for name, what, remedy in (
        ("descriptors_use_peak", "descriptors", "raise the hard limit (ulimit -Hn), or give more workers"),
        ("ports_use_peak", "source ports", "give more source_ip addresses"),
    ):
        if generator[name] > bounds.use:
            problems.append(
                f"{generator[name]:.0%} of the generator's {what} were in use, more than {bounds.use:.0%}; "
                f"{remedy}"
            )
    return problems


def _default_problems(document: Document) -> list[str]:
    """What keeps a run without thresholds of its own from passing."""
    problems = []
    for name, operation in document["operations"].items():
        ended = operation["done"] + operation["failed"] + operation["skipped"]
        if operation["failed"]:
            problems.append(f"{name}: {operation['failed']:,} of {ended:,} failed")
        if operation["planned"] > ended:
            problems.append(
                f"{name}: {operation['planned'] - ended:,} of {operation['planned']:,} planned never ended"
            )
    users = document["users"]
    problems += _refusals(users, document["limits"])
    if document["connections"]["lost"]:
        problems.append(f"{document['connections']['lost']:,} virtual connections were lost")
    for moment in ("peak", "steady"):
        problems += table_problems(moment, document["connections"][moment])
    return problems


def _refusals(users: Document, limits: Sequence[Document]) -> list[str]:
    """Who was refused, and by which limit of which servers."""
    if not users["refused"]:
        return []
    by_limit = {name: count for name in LIMITS if (count := users["refused_by_limit"].get(name))}
    if not by_limit:
        return [f"{users['refused']:,} of {users['planned']:,} users were refused"]
    problems = []
    for name, count in by_limit.items():
        where = " and ".join(describe_limit(hit) for hit in limits if hit["name"] == name)
        problems.append(f"{count:,} users refused: {name}{where and f' of {where}'}")
    rest = users["refused"] - sum(by_limit.values())
    return [*problems, f"{rest:,} users refused for other reasons"] if rest else problems


def describe_limit(hit: Document) -> str:
    """The server of a limit that was hit, and how far it was used; a worker's lifetime, how old it grew."""
    if hit["of"] is None:
        return str(hit["server"])
    if hit["name"] in COUNTED_IN_SECONDS:
        return f"{hit['server']} (its worker was {hit['in_use']:,.0f} of {hit['of']:,.0f} s old)"
    return f"{hit['server']} ({hit['in_use']:,.0f} of {hit['of']:,.0f} in use)"


def table_problems(moment: str, table: Document | None) -> list[str]:
    """Where the counts of a barrier differ from what was expected."""
    if not table:
        return [f"connections at {moment} were not counted"]
    return [
        f"connections at {moment}: {column} expected {cell['expected']:,}, {party} counted {cell[party]:,}"
        for column, cell in table.items()
        for party in ("client", "kernel", "mock")
        if cell[party] is not None and cell[party] != cell["expected"]
    ]
