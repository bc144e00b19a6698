"""Where samples go: counts and histograms of one interval, in bounded memory, cut into snapshots that merge."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from loadgen.measure.histogram import Histogram
from loadgen.measure.sample import LAYERS, OK, OPERATIONS, Sample

TrafficKind = Literal["sending", "receiving", "idle", "startup"]
EXAMPLE_LENGTH: Final = 300
ALWAYS_TIMED: Final = frozenset({"log_on", "log_off"})
"""Operations that by their nature happen outside the measured phase, and are timed wherever they do."""


class Counts(msgspec.Struct):
    """How the arrivals of one operation ended; ``planned`` is how many had to come by the schedule."""

    planned: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: "Counts") -> None:
        """Adds another count to this one."""
        self.planned += other.planned
        self.done += other.done
        self.failed += other.failed
        self.skipped += other.skipped


class Failure(msgspec.Struct):
    """All failures of one operation with one outcome, and the text of the first."""

    operation: str
    outcome: str
    count: int
    first_ns: int
    last_ns: int
    example: str


class Traffic(msgspec.Struct, frozen=True, gc=False):
    """Bytes of TCP payload, both directions, that one group's users moved for one purpose in an interval."""

    client: str
    profile: str
    kind: TrafficKind
    octets: int
    user_seconds: float = 0.0
    """Real seconds that users spent in this way; counted for ``idle`` alone."""


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """A message whose submission ended at ``at_ns``, and how many users it goes to."""

    key: str
    copies: int
    at_ns: int


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """A notification of message ``key`` in the mailbox of user ``user``."""

    key: str
    user: int
    at_ns: int


class Event(msgspec.Struct, frozen=True):
    """Something worth a line in ``events.jsonl``: a reconnect, a limit that was hit, a pause, a phase."""

    at_ns: int
    kind: str
    text: str
    user: int | None = None


class Gauges(msgspec.Struct, kw_only=True):
    """State of one shard at the end of an interval. ``*_total`` counts since the start of the run."""

    users_logged_on: int = 0
    users_refused_total: int = 0
    users_lost_total: int = 0
    virtual_connections: dict[str, int] = {}
    """Open virtual connections by purpose: mail, public_folder, directory, referral."""
    connections_lost_total: int = 0
    unfinished: int = 0
    """Operations waiting and running."""
    busy: float = 0.0
    """Share of the interval in which the event loop was busy."""
    cpu_s_total: float = 0.0
    descriptors: int = 0
    descriptors_limit: int = 0
    ports_use: float = 0.0
    """Largest share of the source ports of one address in use."""
    resident_octets: int = 0


class Snapshot(msgspec.Struct, kw_only=True):
    """What one shard saw in one interval. Everything but ``gauges`` is the interval's own, so snapshots add up."""

    shard: int
    started_ns: int
    ended_ns: int
    counts: dict[str, Counts] = {}
    failures: list[Failure] = []
    histograms: dict[str, bytes] = {}
    """By tag ``<operation>.<response|service|lag>`` or ``<layer>.service``: compressed HdrHistograms, base64."""
    clamped: int = 0
    """Values that lay outside 1 us to 10 min and were counted at the edge."""
    traffic: list[Traffic] = []
    submitted: list[Submitted] = []
    arrived: list[Arrived] = []
    events: list[Event] = []
    gauges: Gauges = msgspec.field(default_factory=Gauges)


class Recorder:
    """What the engine writes to; one per event loop.

    ``cut`` ends an interval at once by putting fresh books on the desk; encoding the old ones is then done histogram
    by histogram, so that no interval stalls the loop.
    """

    def __init__(self, shard: int, now_ns: int) -> None: ...

    def measure_between(self, started_ns: int, ended_ns: int) -> None:
        """From now on only operations due in [started, ended) are timed; all are counted. Before: none is timed."""

    def plan(self, operation: str, count: int = 1) -> None: ...
    def skip(self, operation: str, count: int = 1) -> None: ...
    def record(self, sample: Sample, example: str = "") -> None: ...
    def lag(self, operation: str, due_ns: int, fired_ns: int) -> None: ...
    def layer(self, layer: str, started_ns: int, ended_ns: int) -> None: ...
    def traffic(self, client: str, profile: str, kind: TrafficKind, octets: int, user_seconds: float = 0.0) -> None: ...
    def submitted(self, key: str, copies: int, at_ns: int) -> None: ...
    def arrived(self, key: str, user: int, at_ns: int) -> None: ...
    def event(self, at_ns: int, kind: str, text: str, user: int | None = None) -> None: ...
    def cut(self, now_ns: int, gauges: Gauges | None = None) -> "Cut": ...
    def snapshot(self, now_ns: int, gauges: Gauges | None = None) -> Snapshot: ...
