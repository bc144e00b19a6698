"""Sets of ids and of change numbers ([MS-OXCFXICS] 2.2.2.4 to 2.2.2.6).

A replica's counters are a :class:`GlobSet`; a set of ids or change numbers is a GlobSet per replica:
:class:`IdSetByReplGuid` in the properties of a state, :class:`IdSetByReplId` in lists of deletions and of
read states. Sets are values. A set of *n* ranges keeps 2 *n* numbers, ``in`` takes O(log *n*), and whatever
makes a set takes O(*n*): make large ones by ``of``, not one id after the other.
"""

from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from struct import Struct
from typing import ClassVar, Final, Generic, Self, TypeAlias, TypeVar

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.identifiers import counter_of, object_id, replica_id_of

COUNTER_SIZE: Final = 6
"""Bytes of a GLOBCNT, big-endian."""

Range: TypeAlias = tuple[int, int]
"""Counters from the first to the second, both included."""

_COUNTER_END: Final = 1 << 8 * COUNTER_SIZE


class GlobSet(msgspec.Struct, frozen=True, gc=False):
    """A set of counters, 0 to 2**48 - 1 ([MS-OXCFXICS] 2.2.2.6).

    ``bounds`` ascends strictly, and at each of its numbers membership changes: counters from the first up to,
    but without, the second are in the set, those up to the third are not, and so on.
    """

    bounds: tuple[int, ...] = ()

    @classmethod
    def of(cls, counters: Iterable[int]) -> Self:
        """The set of these counters, in any order."""
        return cls.of_ranges((counter, counter) for counter in counters)

    @classmethod
    def of_ranges(cls, ranges: Iterable[Range]) -> Self:
        """The union of these ranges, in any order."""
        return cls(_united([(low, high + 1) for low, high in ranges]))

    def __contains__(self, counter: int) -> bool:
        return bool(bisect_right(self.bounds, counter) & 1)

    def __bool__(self) -> bool:
        return bool(self.bounds)

    def __len__(self) -> int:
        return sum(self.bounds[1::2]) - sum(self.bounds[::2])

    def __iter__(self) -> Iterator[int]:
        for low, high in self.ranges():
            yield from range(low, high + 1)

    def ranges(self) -> Iterator[Range]:
        """Ascending, none touching another."""
        pairs = iter(self.bounds)
        for low, end in zip(pairs, pairs, strict=True):
            yield low, end - 1

    def with_range(self, low: int, high: int) -> Self:
        """This set and the counters from ``low`` to ``high``, both included."""
        bounds, end = self.bounds, high + 1
        first, last = bisect_left(bounds, low), bisect_right(bounds, end)
        inserted = (() if first & 1 else (low,)) + (() if last & 1 else (end,))
        return type(self)(bounds[:first] + inserted + bounds[last:])

    def __or__(self, other: Self) -> Self:
        return type(self)(_union(self.bounds, other.bounds))

    def __and__(self, other: Self) -> Self:
        return type(self)(_complement(_union(_complement(self.bounds), _complement(other.bounds))))

    def __sub__(self, other: Self) -> Self:
        return type(self)(_complement(_union(_complement(self.bounds), other.bounds)))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Up to and including the end command; raises :class:`WireError`."""
        return cls(tuple(_read_bounds(reader)))

    def write(self, writer: Writer) -> None:
        """In one form for each set: bytes that neighbours share stand once, near neighbours as a bitmask."""
        ranges = [(_big_endian(low), _big_endian(high)) for low, high in self.ranges()]
        if ranges:
            _write_group(writer, ranges, 0)
        writer.u8(_END)


ReplicaT = TypeVar("ReplicaT", int, bytes)


class _IdSet(msgspec.Struct, Generic[ReplicaT], frozen=True):
    """Replicas in ascending order, each with counters that are not empty."""

    replicas: tuple[tuple[ReplicaT, GlobSet], ...] = ()

    _replica: ClassVar[Struct]

    @staticmethod
    @abstractmethod
    def _split(identifier: ReplicaT) -> tuple[ReplicaT, int]:
        """Replica and counter of an id."""

    @staticmethod
    @abstractmethod
    def _join(replica: ReplicaT, counter: int) -> ReplicaT:
        """The id of a counter."""

    @classmethod
    def of(cls, ids: Iterable[ReplicaT]) -> Self:
        """The set of these ids, in any order."""
        counters: dict[ReplicaT, list[int]] = {}
        for identifier in ids:
            replica, counter = cls._split(identifier)
            counters.setdefault(replica, []).append(counter)
        return cls.of_counters({replica: GlobSet.of(numbers) for replica, numbers in counters.items()})

    @classmethod
    def of_counters(cls, counters: Mapping[ReplicaT, GlobSet]) -> Self:
        """The set of all these counters of each replica."""
        return cls(tuple((replica, counters[replica]) for replica in sorted(counters) if counters[replica]))

    def counters(self, replica: ReplicaT) -> GlobSet:
        """The counters of one replica; an empty set if there are none."""
        for known, counters in self.replicas:
            if known == replica:
                return counters
        return GlobSet()

    def with_range(self, replica: ReplicaT, low: int, high: int) -> Self:
        """This set and the ids of one replica from ``low`` to ``high``, both included."""
        return self.of_counters(dict(self.replicas) | {replica: self.counters(replica).with_range(low, high)})

    def __contains__(self, identifier: ReplicaT) -> bool:
        replica, counter = self._split(identifier)
        return counter in self.counters(replica)

    def __bool__(self) -> bool:
        return bool(self.replicas)

    def __len__(self) -> int:
        return sum(len(counters) for _replica, counters in self.replicas)

    def __iter__(self) -> Iterator[ReplicaT]:
        for replica, counters in self.replicas:
            for counter in counters:
                yield self._join(replica, counter)

    def __or__(self, other: Self) -> Self:
        united = {replica: counters | other.counters(replica) for replica, counters in self.replicas}
        return self.of_counters(dict(other.replicas) | united)

    def __and__(self, other: Self) -> Self:
        return self.of_counters(
            {replica: known & other.counters(replica) for replica, known in self.replicas}
        )

    def __sub__(self, other: Self) -> Self:
        return self.of_counters(
            {replica: known - other.counters(replica) for replica, known in self.replicas}
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The value of a property; raises :class:`WireError`, also for a replica that comes twice."""
        reader = Reader(data)
        counters: dict[ReplicaT, GlobSet] = {}
        while reader.remaining:
            start = reader.offset
            (replica,) = reader.unpack(cls._replica, "Replica")
            if replica in counters:
                raise WireError("Replica", start, "is there twice")
            counters[replica] = GlobSet.read(reader)
        return cls.of_counters(counters)

    def encode(self) -> bytes:
        """The value of a property."""
        writer = Writer()
        for replica, counters in self.replicas:
            writer.pack(self._replica, replica)
            counters.write(writer)
        return writer.getvalue()


class IdSetByReplGuid(_IdSet[bytes], frozen=True):
    """Ids as source keys, of 22 bytes: replica GUID and counter ([MS-OXCFXICS] 2.2.2.4.2)."""

    _replica = Struct("<16s")

    @staticmethod
    def _split(identifier: bytes) -> tuple[bytes, int]:
        return identifier[:16], int.from_bytes(identifier[16:], "big")

    @staticmethod
    def _join(replica: bytes, counter: int) -> bytes:
        return replica + _big_endian(counter)


class IdSetByReplId(_IdSet[int], frozen=True):
    """Ids as numbers: FID, MID or change number ([MS-OXCFXICS] 2.2.2.4.1)."""

    _replica = Struct("<H")

    @staticmethod
    def _split(identifier: int) -> tuple[int, int]:
        return replica_id_of(identifier), counter_of(identifier)

    @staticmethod
    def _join(replica: int, counter: int) -> int:
        return object_id(replica, counter)


def _big_endian(counter: int) -> bytes:
    return counter.to_bytes(COUNTER_SIZE, "big")


def _united(ranges: list[tuple[int, int]]) -> tuple[int, ...]:
    """The bounds of ranges, each up to but without its second number."""
    ranges.sort()
    bounds: list[int] = []
    for low, end in ranges:
        if bounds and low <= bounds[-1]:
            bounds[-1] = max(bounds[-1], end)
        else:
            bounds += (low, end)
    return tuple(bounds)


def _union(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    if not (first and second):
        return first or second
    pairs = zip(first[::2], first[1::2], strict=True), zip(second[::2], second[1::2], strict=True)
    return _united([*pairs[0], *pairs[1]])


def _complement(bounds: tuple[int, ...]) -> tuple[int, ...]:
    """The bounds of all counters that are not in the set."""
    from_zero = bounds[1:] if bounds[:1] == (0,) else (0, *bounds)
    return from_zero[:-1] if from_zero[-1:] == (_COUNTER_END,) else (*from_zero, _COUNTER_END)


_END = 0x00
_BITMASK = 0x42
_POP = 0x50
_RANGE = 0x52
_BITMASK_REACH = 8
"""How far behind its first counter a bitmask goes."""

_PUSH_AND_POP_SIZE = 2
"""What it costs to share bytes between both ends of a range; more of them have to be saved."""


def _read_bounds(reader: Reader) -> list[int]:
    bounds: list[int] = []
    stack: list[bytes] = []
    shared = b""
    while command := reader.u8("Command"):
        start = reader.offset - 1
        missing = COUNTER_SIZE - len(shared)
        if command < missing:
            stack.append(shared)
            shared += reader.take(command, "CommonBytes")
        elif command == missing:
            counter = _number(shared + reader.take(missing, "CommonBytes"))
            _append(bounds, counter, counter, start)
        elif command == _RANGE:
            low, high = reader.take(missing, "LowValue"), reader.take(missing, "HighValue")
            _append(bounds, _number(shared + low), _number(shared + high), start)
        elif command == _POP and stack:
            shared = stack.pop()
        elif command == _BITMASK and missing == 1:
            _read_bitmask(reader, bounds, _number(shared) << 8)
        else:
            raise WireError("Command", start, f"0x{command:02X} with {len(shared)} bytes on the stack")
    if stack:
        raise WireError("Command", reader.offset - 1, f"the end with {len(shared)} bytes on the stack")
    return bounds


def _read_bitmask(reader: Reader, bounds: list[int], base: int) -> None:
    offset = reader.offset
    first, mask = reader.u8("StartingValue"), reader.u8("Bitmask")
    bits = mask << 1 | 1
    if first + bits.bit_length() > 256:
        raise WireError("Bitmask", offset + 1, f"0x{mask:02X} from 0x{first:02X} goes beyond the last byte")
    for distance in range(bits.bit_length()):
        if bits >> distance & 1:
            counter = base + first + distance
            _append(bounds, counter, counter, offset)


def _append(bounds: list[int], low: int, high: int, offset: int) -> None:
    if high < low or (bounds and low < bounds[-1]):
        raise WireError("Command", offset, f"counters {low} to {high} are not in ascending order")
    if bounds and low == bounds[-1]:
        bounds[-1] = high + 1
    else:
        bounds += (low, high + 1)


def _number(counter: bytes) -> int:
    return int.from_bytes(counter, "big")


_Ends: TypeAlias = tuple[bytes, bytes]
"""Both ends of a range as GLOBCNT."""


def _write_group(writer: Writer, ranges: Sequence[_Ends], depth: int) -> None:
    """Ranges whose first ``depth`` bytes are on the stack."""
    low, high = ranges[0][0], ranges[-1][1]
    shared = next((size for size in range(depth, COUNTER_SIZE) if low[size] != high[size]), COUNTER_SIZE)
    if shared == COUNTER_SIZE:
        _write_push(writer, low[depth:])
    elif len(ranges) == 1 and shared - depth <= _PUSH_AND_POP_SIZE:
        writer.u8(_RANGE)
        writer.raw(low[depth:] + high[depth:])
    elif shared == depth:
        _write_members(writer, ranges, depth)
    else:
        _write_push(writer, low[depth:shared])
        _write_members(writer, ranges, shared)
        writer.u8(_POP)


def _write_push(writer: Writer, data: bytes) -> None:
    writer.u8(len(data))
    writer.raw(data)


def _write_members(writer: Writer, ranges: Sequence[_Ends], depth: int) -> None:
    """Ranges that part at the byte behind ``depth``."""
    if depth == COUNTER_SIZE - 1:
        _write_last_bytes(writer, [(low[depth], high[depth]) for low, high in ranges])
        return
    for _bytes, group in groupby(ranges, key=lambda ends: (ends[0][depth], ends[1][depth])):
        _write_group(writer, tuple(group), depth)


def _write_last_bytes(writer: Writer, ranges: Sequence[Range]) -> None:
    """Ranges of the sixth byte."""
    while ranges:
        first, last = ranges[0]
        near = sum(1 for _low, high in ranges[:_BITMASK_REACH] if high <= first + _BITMASK_REACH)
        if near > 1:
            bits = sum((1 << high + 1 - first) - (1 << low - first) for low, high in ranges[:near])
            writer.raw(bytes((_BITMASK, first, bits >> 1)))
        elif first == last:
            _write_push(writer, bytes((first,)))
        else:
            writer.raw(bytes((_RANGE, first, last)))
        ranges = ranges[max(near, 1) :]
