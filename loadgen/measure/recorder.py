"""Where samples go: counts and histograms of one interval, in bounded memory, cut into snapshots."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from loadgen.measure.histogram import Histogram
from loadgen.measure.sample import LAYERS, OK, OPERATIONS, Sample

TrafficKind = Literal["sending", "receiving", "idle", "startup"]
EXAMPLE_LENGTH: Final = 300
EVENTS_PER_INTERVAL: Final = 1000
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
    users: tuple[int, ...] = ()
    """Those users, if they may go before they are told."""


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
    limit: str | None = None
    """The limit that a refusal means; while that is not known, those that it may mean, ``|`` between them."""
    by: str | None = None
    """Who asked for it, if it was a person's or a program's command."""


class Refusal(msgspec.Struct):
    """Attempts to log on that failed in one way, of which the first stands for all.

    ``limits`` are those that it may mean (:func:`loadgen.errors.limits_of`), ``users_logged_on`` how many of
    the shard's users were when it came.
    """

    limits: tuple[str, ...]
    count: int
    first_ns: int
    user: int
    users_logged_on: int
    error: str


class Gauges(msgspec.Struct, kw_only=True):
    """State of one shard at the end of an interval. ``*_total`` counts since the start of the run."""

    users_logged_on: int = 0
    users_admitted: int = 0
    """Of those logged on, who has all of his steady connections open."""
    users_refused_total: int = 0
    users_refused_by: dict[str, int] = {}
    """The same by what may have refused them: names of limits with ``|`` between them, "" if none."""
    users_lost_total: int = 0
    virtual_connections: dict[str, int] = {}
    """Open virtual connections by purpose: mail, public_folder, directory, referral."""
    direct_connections: int = 0
    """Those of them that are inside the firewall, and thus one TCP connection instead of two."""
    connections_lost_total: int = 0
    reconnects_total: int = 0
    """How often users came back after a loss."""
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

    @property
    def tcp_connections(self) -> int:
        """Open TCP connections of the clients."""
        return 2 * sum(self.virtual_connections.values()) - self.direct_connections


class EncodedHistogram(msgspec.Struct, frozen=True, gc=False):
    """A histogram on its way: compressed and in base64, with what a log line says beside it."""

    payload: str
    count: int
    max_us: int


class Snapshot(msgspec.Struct, kw_only=True):
    """What one shard saw in one interval; all but ``gauges`` is the interval's own, so snapshots add up."""

    shard: int
    started_ns: int
    ended_ns: int
    counts: dict[str, Counts] = {}
    failures: list[Failure] = []
    histograms: dict[str, EncodedHistogram] = {}
    """By tag: ``<operation>.<response|service|lag>`` or ``<layer>.service``."""
    clamped: int = 0
    """Values that were negative or above 10 min, and were counted at the edge."""
    traffic: list[Traffic] = []
    submitted: list[Submitted] = []
    arrived: list[Arrived] = []
    events: list[Event] = []
    events_dropped: int = 0
    refusals: list[Refusal] = []
    gauges: Gauges = msgspec.field(default_factory=Gauges)


class _Books:
    """What one interval is written into; used again after it was cleared."""

    __slots__ = (
        "arrived",
        "counts",
        "events",
        "events_dropped",
        "failures",
        "histograms",
        "refusals",
        "submitted",
        "traffic",
    )

    def __init__(self) -> None:
        self.histograms: dict[str, Histogram] = {}
        self.open_page()

    def open_page(self) -> None:
        """Starts a new interval; histograms are kept, since their memory is dear to get."""
        self.counts = {operation: Counts() for operation in OPERATIONS}
        self.failures: dict[tuple[str, str], Failure] = {}
        self.traffic: dict[tuple[str, str, TrafficKind], tuple[int, float]] = {}
        self.submitted: list[Submitted] = []
        self.arrived: list[Arrived] = []
        self.events: list[Event] = []
        self.refusals: dict[tuple[str, ...], Refusal] = {}
        self.events_dropped = 0

    def histogram(self, tag: str) -> Histogram:
        """The histogram under a tag, made when it is first needed."""
        histogram = self.histograms.get(tag)
        if histogram is None:
            histogram = self.histograms[tag] = Histogram()
        return histogram


class Cut:
    """An interval that is over: its histograms are encoded one by one, then it is a :class:`Snapshot`."""

    def __init__(self, books: _Books, snapshot: Snapshot, give_back: Callable[[_Books], None]) -> None:
        self._books = books
        self._snapshot = snapshot
        self._give_back = give_back
        self._to_encode = [tag for tag, histogram in books.histograms.items() if histogram.count]

    def encode_next(self) -> bool:
        """Encodes one histogram (0.3 ms); says whether there was one left."""
        if not self._to_encode:
            return False
        tag = self._to_encode.pop()
        histogram = self._books.histograms[tag]
        self._snapshot.histograms[tag] = EncodedHistogram(
            histogram.encode(), histogram.count, histogram.max_us
        )
        self._snapshot.clamped += histogram.clamped
        histogram.clear()
        return True

    def finish(self) -> Snapshot:
        """Encodes what is left, and gives the cleared books back to the recorder. To be called once."""
        while self.encode_next():
            pass
        self._give_back(self._books)
        return self._snapshot


class Recorder:
    """What the engine writes to; one per event loop. Memory does not grow with the number of samples.

    :meth:`cut` ends an interval at once by putting fresh books on the desk; the old ones are then encoded
    histogram by histogram, so that no interval stalls the loop.
    """

    def __init__(self, shard: int, now_ns: int) -> None:
        self._shard = shard
        self._started_ns = now_ns
        self._books = _Books()
        self._spare: _Books | None = None
        self._timed_from_ns = self._timed_until_ns = 0

    def measure_between(self, started_ns: int, ended_ns: int) -> None:
        """From now on, operations due in [started, ended) are timed; all are counted.

        Until this is called only those in :data:`ALWAYS_TIMED` are timed.
        """
        self._timed_from_ns, self._timed_until_ns = started_ns, ended_ns

    def postpone(self, since_ns: int, by_ns: int) -> None:
        """After a pause that began at ``since_ns``: what was to come is timed so much later."""
        if since_ns < self._timed_from_ns:
            self._timed_from_ns += by_ns
        if since_ns < self._timed_until_ns:
            self._timed_until_ns += by_ns

    def cut_short(self, now_ns: int) -> None:
        """What is due from now on is timed no more."""
        self._timed_until_ns = min(self._timed_until_ns, now_ns)

    @property
    def timed(self) -> tuple[int, int]:
        """From when until when what is due is timed."""
        return self._timed_from_ns, self._timed_until_ns

    def plan(self, operation: str, count: int = 1) -> None:
        """Counts arrivals that the schedule has for this run."""
        self._books.counts[operation].planned += count

    def skip(self, operation: str, count: int = 1) -> None:
        """Counts arrivals that found too much unfinished work and were dropped."""
        self._books.counts[operation].skipped += count

    def record(self, sample: Sample, example: str = "") -> None:
        """Counts one operation; it is timed if it succeeded and was due in the measured phase.

        ``example`` is the text of an error; the first of each outcome is kept.
        """
        books = self._books
        if sample.outcome != OK:
            books.counts[sample.operation].failed += 1
            self._count_failure(sample, example)
            return
        books.counts[sample.operation].done += 1
        if self._is_timed(sample.operation, sample.due_ns):
            books.histogram(f"{sample.operation}.response").record_ns(sample.ended_ns - sample.due_ns)
            books.histogram(f"{sample.operation}.service").record_ns(sample.ended_ns - sample.started_ns)

    def lag(self, operation: str, due_ns: int, fired_ns: int) -> None:
        """Notes how late the generator's own timer was, before any waiting for the user or the target."""
        if self._is_timed(operation, due_ns):
            self._books.histogram(f"{operation}.lag").record_ns(fired_ns - due_ns)

    def layer(self, layer: str, started_ns: int, ended_ns: int) -> None:
        """Notes how long one layer of a connection's set-up took; has the shape of a client's ``probe``."""
        if layer not in LAYERS:
            raise KeyError(layer)
        self._books.histogram(f"{layer}.service").record_ns(ended_ns - started_ns)

    def traffic(
        self, client: str, profile: str, kind: TrafficKind, octets: int, user_seconds: float = 0.0
    ) -> None:
        """Adds bytes of TCP payload, both directions together; see :class:`Traffic`."""
        key = (client, profile, kind)
        octets_before, seconds_before = self._books.traffic.get(key, (0, 0.0))
        self._books.traffic[key] = (octets_before + octets, seconds_before + user_seconds)

    def submitted(self, key: str, copies: int, at_ns: int, users: tuple[int, ...] = ()) -> None:
        """Notes the end of a submission, for the ledger of deliveries."""
        self._books.submitted.append(Submitted(key, copies, at_ns, users))

    def arrived(self, key: str, user: int, at_ns: int) -> None:
        """Notes that a user was told of a message, for the ledger of deliveries."""
        self._books.arrived.append(Arrived(key, user, at_ns))

    def refused(
        self, at_ns: int, error: str, limits: tuple[str, ...], user: int, users_logged_on: int
    ) -> None:
        """Notes an attempt to log on that failed; see :class:`Refusal`."""
        refusals = self._books.refusals
        if limits in refusals:
            refusals[limits].count += 1
        else:
            refusals[limits] = Refusal(limits, 1, at_ns, user, users_logged_on, error[:EXAMPLE_LENGTH])

    def event(
        self, at_ns: int, kind: str, text: str, user: int | None = None, limit: str | None = None
    ) -> None:
        """Notes something for ``events.jsonl``; of an interval :data:`EVENTS_PER_INTERVAL` are kept."""
        if len(self._books.events) < EVENTS_PER_INTERVAL:
            self._books.events.append(Event(at_ns, kind, text[:EXAMPLE_LENGTH], user, limit))
        else:
            self._books.events_dropped += 1

    def cut(self, now_ns: int, gauges: Gauges | None = None) -> Cut:
        """Ends the interval at ``now_ns`` and starts the next; takes no time to speak of."""
        books, self._books = self._books, self._spare or _Books()
        self._spare = None
        snapshot = Snapshot(
            shard=self._shard,
            started_ns=self._started_ns,
            ended_ns=now_ns,
            counts={operation: counts for operation, counts in books.counts.items() if counts != Counts()},
            failures=list(books.failures.values()),
            traffic=[Traffic(*key, *amount) for key, amount in books.traffic.items()],
            submitted=books.submitted,
            arrived=books.arrived,
            events=books.events,
            events_dropped=books.events_dropped,
            refusals=list(books.refusals.values()),
            gauges=gauges or Gauges(),
        )
        self._started_ns = now_ns
        return Cut(books, snapshot, self._take_back)

    def snapshot(self, now_ns: int, gauges: Gauges | None = None) -> Snapshot:
        """:meth:`cut` and encode all at once: for the end of a run, and for whoever has no loop to stall."""
        return self.cut(now_ns, gauges).finish()

    def _take_back(self, books: _Books) -> None:
        books.open_page()
        self._spare = books

    def _is_timed(self, operation: str, due_ns: int) -> bool:
        return self._timed_from_ns <= due_ns < self._timed_until_ns or operation in ALWAYS_TIMED

    def _count_failure(self, sample: Sample, example: str) -> None:
        key = (sample.operation, sample.outcome)
        failure = self._books.failures.get(key)
        if failure is None:
            at_ns = sample.ended_ns
            self._books.failures[key] = Failure(*key, 1, at_ns, at_ns, example[:EXAMPLE_LENGTH])
        else:
            failure.count += 1
            failure.last_ns = max(failure.last_ns, sample.ended_ns)
