"""A table as one client sees it ([MS-OXCTABL]): rows in order, filtered, with a cursor, and kept up to date.

A view costs nothing until rows are first asked for; then it is live, and each change says where it happened.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec

from loadgen.wire.properties import PropertyError, PropertyRow, PropertyTag, Value
from mock_server.mailboxes.property_bag import PropertyBag, read_property, stored_tag
from mock_server.mailboxes.row_filter import Predicate

NOT_FOUND: Final = 0x8004010F
LONGEST_VALUE: Final = 510
"""Bytes of a value that fit into a row; the rest of it is cut off ([MS-OXCTABL] 2.2.2.6)."""


class Row(PropertyBag, Protocol):
    """Anything that can stand in a table; ``counter`` orders rows where nothing else does."""

    @property
    def counter(self) -> int:
        """The row's number among the others."""


class SortKey(msgspec.Struct, frozen=True):
    """One property to sort by."""

    tag: PropertyTag
    descending: bool


class RowChange(msgspec.Struct, frozen=True):
    """A row that came, went or changed; ``after`` is the row before it (None at the top, or if it went)."""

    row: Row
    after: Row | None
    kind: int


ROW_ADDED: Final = 3
ROW_DELETED: Final = 4
ROW_MODIFIED: Final = 5
"""TableEventType ([MS-OXCNOTIF] 2.2.1.4.1)."""


class TableView:
    """A cursor over the rows that ``source`` yields. ``columns`` is empty until they are set.

    ``position`` is the number of rows before the cursor.
    """

    def __init__(self, source: Callable[[], Iterable[Row]]) -> None:
        self._source = source
        self.columns: tuple[PropertyTag, ...] = ()
        self.position = 0
        self._sort: tuple[SortKey, ...] = ()
        self._keeps: Predicate | None = None
        self._entries: list[tuple[Any, Row]] | None = None

    @property
    def is_live(self) -> bool:
        """Whether rows have been asked for."""
        return self._entries is not None

    @property
    def entries(self) -> list[tuple[Any, Row]]:
        """Sort key and row, in order."""
        if self._entries is None:
            rows = (row for row in self._source() if self._keeps is None or self._keeps(row))
            self._entries = sorted(((self._key(row), row) for row in rows), key=_key_of)
        return self._entries

    def __len__(self) -> int:
        return len(self.entries)

    def sort(self, keys: Sequence[SortKey]) -> None:
        """Order rows by ``keys``; the cursor goes to the top."""
        self._sort = tuple(keys)
        self._start_again()

    def restrict(self, keeps: Predicate | None) -> None:
        """Show only what ``keeps`` keeps (None: all); the cursor goes to the top."""
        self._keeps = keeps
        self._start_again()

    def reset(self) -> None:
        """Forget columns, order, restriction and cursor."""
        self.columns = ()
        self._sort = ()
        self.restrict(None)

    def _start_again(self) -> None:
        self._entries = None
        self.position = 0

    def seek(self, origin_position: int, offset: int) -> int:
        """Put the cursor ``offset`` rows from a position; returns how many rows that really were."""
        self.position = min(max(origin_position + offset, 0), len(self))
        return self.position - origin_position

    def upcoming(self, *, forward: bool) -> Iterator[Row]:
        """The rows from the cursor to the end, or backwards to the beginning."""
        entries = self.entries
        indexes = range(self.position, len(entries)) if forward else range(self.position - 1, -1, -1)
        return (entries[index][1] for index in indexes)

    def find(self, keeps: Predicate, start: int, *, forward: bool) -> Row | None:
        """The first row from ``start`` on that ``keeps`` keeps; the cursor goes to it."""
        entries = self.entries
        indexes = range(start, len(entries)) if forward else range(min(start, len(entries)) - 1, -1, -1)
        for index in indexes:
            row = entries[index][1]
            if keeps(row):
                self.position = index
                return row
        return None

    def property_row(self, row: Row) -> PropertyRow:
        """The values of the columns, cut to what fits into a row."""
        return PropertyRow.of(self.columns, [_cell(row, tag) for tag in self.columns])

    def add(self, row: Row) -> RowChange | None:
        """A row has come into the source; None if the view does not show it."""
        if self._entries is None or not (self._keeps is None or self._keeps(row)):
            return None
        key = self._key(row)
        index = bisect_left(self._entries, key, key=_key_of)
        self._entries.insert(index, (key, row))
        if index < self.position:
            self.position += 1
        return RowChange(row, self._row_before(index), ROW_ADDED)

    def remove(self, row: Row) -> RowChange | None:
        """A row has gone from the source; None if the view did not show it."""
        index = self._index(row)
        if index is None or self._entries is None:
            return None
        del self._entries[index]
        if index < self.position:
            self.position -= 1
        return RowChange(row, None, ROW_DELETED)

    def update(self, row: Row) -> RowChange | None:
        """A row has changed, and may now stand elsewhere, come or go; the cursor stays where it was."""
        position = self.position
        gone = self.remove(row)
        was_read = self.position < position
        come = self.add(row)
        if gone is None or come is None:
            return come or gone
        if was_read and self.position < position and self._index(row) == self.position:
            self.position = position
        return RowChange(row, come.after, ROW_MODIFIED)

    def _row_before(self, index: int) -> Row | None:
        return self.entries[index - 1][1] if index else None

    def _index(self, row: Row) -> int | None:
        entries = self._entries
        if entries is None:
            return None
        index = bisect_left(entries, self._key(row), key=_key_of)
        if index < len(entries) and entries[index][1] is row:
            return index
        # Its sort key is no longer the one under which it was put in.
        return next((i for i, (_, each) in enumerate(entries) if each is row), None)

    def _key(self, row: Row) -> Any:  # noqa: ANN401 - comparable with the keys of the same view
        values = [_sort_value(row.get(stored_tag(key.tag)), key.descending) for key in self._sort]
        return (*values, row.counter)


def _key_of(entry: tuple[Any, Row]) -> Any:  # noqa: ANN401
    return entry[0]


class _Descending:  # noqa: PLW1641 - compared, never looked up
    """Turns the order of values around that cannot be negated."""

    __slots__ = ("value",)

    def __init__(self, value: tuple[bool, Value]) -> None:
        self.value = value

    def __lt__(self, other: "_Descending") -> bool:
        return other.value < self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and other.value == self.value


def _sort_value(value: Value, descending: bool) -> Any:  # noqa: ANN401
    """A missing value is smaller than any other; text is ordered without regard to case."""
    if isinstance(value, str):
        value = value.casefold()
    present = (False, 0) if value is None else (True, value)
    return _Descending(present) if descending else present


def _cell(row: Row, tag: PropertyTag) -> Value:
    value = read_property(row, tag)
    if value is None:
        return PropertyError(NOT_FOUND)
    if isinstance(value, str):
        return value[: LONGEST_VALUE // 2]
    return value[:LONGEST_VALUE] if isinstance(value, bytes) else value
