"""What a user's free/busy message says: of which months, and when in them he is busy ([MS-OXOPFFB] 2.2.1)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from struct import Struct
from typing import Final, Self

import msgspec

from loadgen.errors import WrongAnswer
from loadgen.wire import properties as p
from loadgen.wire.properties import PropertyRow, PropertyTag, PropertyValue

COLUMNS: Final = (
    p.PidTagFreeBusyPublishStart,
    p.PidTagFreeBusyPublishEnd,
    p.PidTagFreeBusyRangeTimestamp,
    p.PidTagFreeBusyMessageEmailAddress,
    p.PidTagScheduleInfoMonthsMerged,
    p.PidTagScheduleInfoFreeBusyMerged,
    p.PidTagScheduleInfoMonthsTentative,
    p.PidTagScheduleInfoFreeBusyTentative,
    p.PidTagScheduleInfoMonthsBusy,
    p.PidTagScheduleInfoFreeBusyBusy,
    p.PidTagScheduleInfoMonthsAway,
    p.PidTagScheduleInfoFreeBusyAway,
)
"""What is read of a free/busy message."""

_SCHEDULE: Final = COLUMNS[4:]
_PUBLISHED_MONTHS: Final = 2
_MONTHS_PER_YEAR: Final = 12
_MINUTES_PER_DAY: Final = 24 * 60
_MINUTES_PER_HOUR: Final = 60
_FIRST_YEAR: Final = datetime(1601, 1, 1, tzinfo=UTC)
_SPAN: Final = Struct("<HH")
_DAYS: Final = 28
"""Days that every month has."""
_OPENING_HOUR: Final = 8
_HOURS: Final = 10

Span = tuple[int, int]
"""A busy time: start and end in minutes from the first of its month, UTC."""


class FreeBusy(msgspec.Struct, frozen=True):
    """Months that are published, from ``start`` to ``end`` in minutes since 1601, and the busy times of each.

    A month is ``year << 4 | month``; months without busy times are not in ``busy``.
    """

    start: int
    end: int
    busy: Mapping[int, tuple[Span, ...]] = {}

    @classmethod
    def of_month(cls, now: datetime) -> Self:
        """Nothing but free time in the month of ``now`` and the next, as Outlook publishes by default."""
        year, month = now.year, now.month
        return cls(_minutes(year, month), _minutes(year, month + _PUBLISHED_MONTHS))

    @classmethod
    def from_row(cls, row: PropertyRow, owner: str) -> Self:
        """What a message says over :data:`COLUMNS`; raises :class:`WrongAnswer` unless it is ``owner``'s."""
        email_address = row.get(p.PidTagFreeBusyMessageEmailAddress, "")
        if email_address.lower() != owner.lower():
            raise WrongAnswer(f"the free/busy message of {owner} is that of {email_address or 'nobody'}")
        months = row.get(p.PidTagScheduleInfoMonthsBusy, ())
        lists = row.get(p.PidTagScheduleInfoFreeBusyBusy, ())
        if len(months) != len(lists):
            raise WrongAnswer(f"free/busy data of {len(months)} months has {len(lists)} lists")
        return cls(
            row.get(p.PidTagFreeBusyPublishStart, 0),
            row.get(p.PidTagFreeBusyPublishEnd, 0),
            {month: _spans(data) for month, data in zip(months, lists, strict=True)},
        )

    def moved_to(self, now: datetime) -> Self:
        """The same calendar, published from the month of ``now`` on."""
        current = self.of_month(now)
        kept = {
            month: spans
            for month, spans in self.busy.items()
            if current.start <= _minutes(month >> 4, month & 0xF) < current.end
        }
        return type(self)(current.start, current.end, kept)

    def with_appointment(self, now: datetime) -> Self:
        """With an hour more of the month of ``now`` taken, in working time; the same if none is left."""
        month = now.year << 4 | now.month
        spans = self.busy.get(month, ())
        taken = sum(end - start for start, end in spans) // _MINUTES_PER_HOUR
        if taken >= _DAYS * _HOURS:
            return self
        hour, day = divmod(taken, _DAYS)
        start = day * _MINUTES_PER_DAY + (_OPENING_HOUR + hour) * _MINUTES_PER_HOUR
        return type(self)(
            self.start, self.end, {**self.busy, month: _merged((*spans, (start, start + _MINUTES_PER_HOUR)))}
        )

    def properties(self, owner: str, now: int) -> tuple[PropertyValue, ...]:
        """What is to be set on the message; ``now`` is a FILETIME."""
        values = [
            PropertyValue(p.PidTagFreeBusyPublishStart, self.start),
            PropertyValue(p.PidTagFreeBusyPublishEnd, self.end),
            PropertyValue(p.PidTagFreeBusyRangeTimestamp, now),
            PropertyValue(p.PidTagFreeBusyMessageEmailAddress, owner),
        ]
        if self.busy:
            months = tuple(sorted(self.busy))
            lists = tuple(b"".join(_SPAN.pack(*span) for span in self.busy[month]) for month in months)
            values += [
                PropertyValue(p.PidTagScheduleInfoMonthsMerged, months),
                PropertyValue(p.PidTagScheduleInfoFreeBusyMerged, lists),
                PropertyValue(p.PidTagScheduleInfoMonthsBusy, months),
                PropertyValue(p.PidTagScheduleInfoFreeBusyBusy, lists),
            ]
        return tuple(values)


def absent(properties: Iterable[PropertyValue]) -> tuple[PropertyTag, ...]:
    """The parts of a schedule that are not among ``properties``, so must not stay from last time."""
    present = {value.tag for value in properties}
    return tuple(tag for tag in _SCHEDULE if tag not in present)


def _minutes(year: int, month: int) -> int:
    """Minutes from 1601 to the first of a month, which may be beyond December."""
    years, month = divmod(month - 1, _MONTHS_PER_YEAR)
    first = datetime(year + years, month + 1, 1, tzinfo=UTC)
    return (first - _FIRST_YEAR).days * _MINUTES_PER_DAY


def _spans(data: bytes) -> tuple[Span, ...]:
    if len(data) % _SPAN.size:
        raise WrongAnswer(f"a list of busy times has {len(data)} bytes")
    return tuple(_SPAN.iter_unpack(data))


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """In order, those that touch joined."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)
