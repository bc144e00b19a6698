"""What is told of a run, once for all monitoring systems: names, units, labels.

A name is OpenTelemetry's; Prometheus' is made of it by the usual translation, so that a dashboard does for
both.
"""

from typing import Final, Literal, NamedTuple

import msgspec

Kind = Literal["counter", "gauge", "histogram"]

UNITS: Final = {"s": "seconds", "By": "bytes", "1": "ratio", "": ""}
"""OpenTelemetry's units, and what they are called in names of Prometheus."""


class Instrument(msgspec.Struct, frozen=True):
    """One metric. ``unit`` is UCUM's, as OpenTelemetry has it."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    text: str

    @property
    def prometheus_name(self) -> str:
        """The name without the suffixes that the kind adds (``_total``, ``_bucket`` …)."""
        return "_".join(filter(None, (self.name.replace(".", "_"), UNITS[self.unit])))


class Distribution(NamedTuple):
    """A histogram as monitoring systems take it: counts between the bounds, one more beyond them. Seconds."""

    counts: tuple[int, ...]
    sum: float
    smallest: float
    largest: float

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts)


class Reading(NamedTuple):
    """What an instrument says of one set of labels."""

    instrument: Instrument
    labels: tuple[str, ...]
    value: float | Distribution


BOUNDS_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0),
)
"""Upper bounds of all histograms' buckets."""


def _of(kind: Kind, name: str, unit: str, text: str, *labels: str) -> Instrument:
    return Instrument(f"loadgen.{name}", kind, unit, labels, text)


RUN: Final = _of(
    "gauge", "run.info", "", "Always 1; which run this is.", "campaign", "target", "run_id", "version"
)
PHASE: Final = _of("gauge", "phase", "", "1 for the phase that the run is in.", "phase")
USERS: Final = _of(
    "gauge",
    "users",
    "",
    "Users: planned, wanted now, logged_on, admitted (all steady connections open), refused, lost.",
    "state",
)
REFUSED: Final = _of(
    "gauge", "users.refused", "", "Users that could not log on, by the limit that refused them.", "limit"
)
RECONNECTS: Final = _of("counter", "reconnects", "", "Users that came back after a loss.")
CONNECTIONS: Final = _of(
    "gauge",
    "connections",
    "",
    "TCP connections by column of the connection table: expected, and as each party counts them.",
    "column",
    "party",
)
VIRTUAL: Final = _of("gauge", "virtual_connections", "", "Open virtual connections.", "purpose")
LOST: Final = _of("counter", "connections.lost", "", "Virtual connections that went without being closed.")
LIMIT_HITS: Final = _of(
    "counter", "limit.hits", "", "Refusals and cuts by a limit of the target.", "limit", "server"
)
PLANNED: Final = _of(
    "gauge", "operations.planned", "", "Operations that have to come, by the schedule so far.", "operation"
)
OPERATIONS: Final = _of(
    "counter",
    "operations",
    "",
    "Operations that ended; outcome ok, or how they failed.",
    "operation",
    "outcome",
)
SKIPPED: Final = _of(
    "counter", "operations.skipped", "", "Arrivals that found too much unfinished work.", "operation"
)
UNFINISHED: Final = _of("gauge", "operations.unfinished", "", "Operations waiting and running.")
RESPONSE: Final = _of(
    "histogram",
    "operation.response",
    "s",
    "From when an operation was due; of those that succeeded and were due in the measured phase.",
    "operation",
)
SERVICE: Final = _of("histogram", "operation.service", "s", "The same, from when it was begun.", "operation")
SET_UP: Final = _of("histogram", "setup", "s", "Opening connections, by layer.", "layer")
LAG: Final = _of("histogram", "lag", "s", "How late the generator's own timers fired.")
TRAFFIC: Final = _of(
    "counter",
    "traffic",
    "By",
    "TCP payload between clients and servers, both directions.",
    "client",
    "profile",
    "kind",
)
BUSY: Final = _of("gauge", "busy", "1", "Share of ten seconds in which a worker's loop was busy.", "worker")
CPU: Final = _of("counter", "cpu", "s", "Processor time of a worker.", "worker")
MEMORY: Final = _of("gauge", "resident_memory", "By", "Resident memory of a worker.", "worker")
DESCRIPTORS: Final = _of("gauge", "descriptors", "", "Open descriptors of a worker.", "worker")
MOST_DESCRIPTORS: Final = _of("gauge", "descriptors.limit", "", "How many it may have.", "worker")
PORTS: Final = _of(
    "gauge", "source_ports.use", "1", "Share of the source ports of one address in use.", "worker"
)

INSTRUMENTS: Final = (
    *(RUN, PHASE, USERS, REFUSED, RECONNECTS, CONNECTIONS, VIRTUAL, LOST, LIMIT_HITS),
    *(PLANNED, OPERATIONS, SKIPPED, UNFINISHED, RESPONSE, SERVICE, SET_UP, LAG, TRAFFIC),
    *(BUSY, CPU, MEMORY, DESCRIPTORS, MOST_DESCRIPTORS, PORTS),
)
