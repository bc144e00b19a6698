"""The ledger of deliveries: who was told of which message, and how long after its submission had ended.

Sender and recipients may be users of different shards, so the ledger stands where snapshots meet.
"""

from typing import Final

import msgspec

from loadgen.measure.recorder import Arrived, Recorder, Snapshot, Submitted
from loadgen.measure.sample import NOT_DELIVERED, Sample

STRANGERS_KEPT: Final = 100_000
"""Notifications of messages that are not submitted (yet) are kept up to this number, the rest counted."""


class _Pending:
    """A message on its way: when its submission ended, if it has, and who was told of it when."""

    __slots__ = ("arrivals", "submitted")

    def __init__(self) -> None:
        self.submitted: Submitted | None = None
        self.arrivals: dict[int, int] = {}


class DeliveryLedger:
    """Matches submissions and notifications, in any order, and records ``deliver_message`` samples.

    A message is forgotten as soon as all its copies have arrived.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._pending: dict[str, _Pending] = {}
        self._strangers = 0
        self._present: int | None = None
        self._excused: set[tuple[str, int]] = set()
        """Copies, by message and user, that are not waited for any more."""
        self.unexpected = 0
        """Notifications without a submission in this run, or that came twice; complete once closed."""

    def take(self, snapshot: Snapshot) -> None:
        """Enters what a shard saw in an interval."""
        for submitted in snapshot.submitted:
            self.submitted(submitted)
        for arrived in snapshot.arrived:
            self.arrived(arrived)

    def scale(self, users: int) -> None:
        """Only the first ``users`` are there from now on: what the others wait for was not planned."""
        self._present = users
        for key, pending in list(self._pending.items()):
            self._excuse_absent(key, pending)

    def submitted(self, message: Submitted) -> None:
        """A submission has ended: so many deliveries are planned, and those already seen are done."""
        self._recorder.plan("deliver_message", message.copies)
        pending = self._pending.get(message.key)
        if pending is None:
            pending = self._pending[message.key] = _Pending()
        else:
            self._strangers -= len(pending.arrivals)
        pending.submitted = message
        for at_ns in pending.arrivals.values():
            self._deliver(message, at_ns)
        self._excuse_absent(message.key, pending)

    def arrived(self, copy: Arrived) -> None:
        """A user was told of a message."""
        if (copy.key, copy.user) in self._excused:
            return
        pending = self._pending.get(copy.key)
        if pending is None:
            if self._strangers >= STRANGERS_KEPT:
                self.unexpected += 1
                return
            pending = self._pending[copy.key] = _Pending()
        if copy.user in pending.arrivals:
            self.unexpected += 1
            return
        pending.arrivals[copy.user] = copy.at_ns
        if pending.submitted is None:
            self._strangers += 1
        else:
            self._deliver(pending.submitted, copy.at_ns)
            self._forget_if_complete(copy.key, pending)

    @property
    def outstanding(self) -> int:
        """Copies that were submitted and have not arrived: what the drain waits for."""
        return sum(
            pending.submitted.copies - len(pending.arrivals)
            for pending in self._pending.values()
            if pending.submitted is not None
        )

    def close(self, now_ns: int) -> int:
        """After the drain: what has not arrived never will. Records it as failed, and says how much it is."""
        missing = 0
        for key, pending in self._pending.items():
            if pending.submitted is None:
                self.unexpected += len(pending.arrivals)
                continue
            due_ns = pending.submitted.at_ns
            never = pending.submitted.copies - len(pending.arrivals)
            missing += never
            for _ in range(never):
                sample = Sample("deliver_message", due_ns, due_ns, max(now_ns, due_ns), NOT_DELIVERED)
                self._recorder.record(
                    sample, f"message {key}: {never} of {pending.submitted.copies} copies missing"
                )
        self._pending.clear()
        self._strangers = 0
        return missing

    def _deliver(self, message: Submitted, at_ns: int) -> None:
        """A server may tell the recipient before it answers the sender; that counts as no time at all."""
        ended_ns = max(at_ns, message.at_ns)
        self._recorder.record(Sample("deliver_message", message.at_ns, message.at_ns, ended_ns))

    def _excuse_absent(self, key: str, pending: _Pending) -> None:
        message = pending.submitted
        if message is not None and self._present is not None:
            absent = {user for user in message.users if user >= self._present} - pending.arrivals.keys()
            self._recorder.plan("deliver_message", -len(absent))
            self._excused |= {(key, user) for user in absent}
            left = tuple(user for user in message.users if user not in absent)
            copies = message.copies - len(absent)
            pending.submitted = msgspec.structs.replace(message, copies=copies, users=left)
        self._forget_if_complete(key, pending)

    def _forget_if_complete(self, key: str, pending: _Pending) -> None:
        if pending.submitted is not None and len(pending.arrivals) >= pending.submitted.copies:
            del self._pending[key]
