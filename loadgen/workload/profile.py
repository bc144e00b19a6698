"""The typed form of message profiles (``profiles/message``)."""

from typing import Annotated

from msgspec import Meta, Struct

from loadgen.client.client_type import PerDay
from loadgen.workload.duration import Duration


class MessageProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one user does with messages on one day."""

    name: str = ""
    title: str
    sent_per_day: PerDay
    received_per_day: PerDay
    read_per_day: PerDay
    deleted_per_day: PerDay
    message_size: Annotated[int, Meta(ge=1_000, le=50_000_000)] = 50_000
    """Mean size of a message in bytes, body and attachment."""
    think_before_read: Duration = Duration(120)
    """Mean simulated time from receipt to reading; drawn between nothing and twice the mean."""
    think_before_delete: Duration = Duration(300)
    """Mean simulated time from reading to deleting; drawn between nothing and twice the mean."""

    def __post_init__(self) -> None:
        for key in ("read_per_day", "deleted_per_day"):
            if getattr(self, key) > self.received_per_day:
                raise ValueError(f"{key} must not exceed received_per_day, {self.received_per_day}")
