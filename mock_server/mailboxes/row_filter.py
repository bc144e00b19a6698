"""Restrictions made into predicates over rows ([MS-OXCDATA] 2.12): compiled once, called for each row."""

import operator
from collections.abc import Callable, Mapping
from typing import Final

from loadgen.wire import restrictions as wire
from loadgen.wire.properties import (
    PropertyTag,
    PtypUnspecified,
    Value,
)
from mock_server.mailboxes.property_bag import PropertyBag, read_property, stored_tag, value_size

Predicate = Callable[[PropertyBag], bool]


class UnsupportedRestrictionError(Exception):
    """A restriction that this store does not evaluate."""


_RELATIONS: Final[Mapping[int, Callable[[Value, Value], bool]]] = {
    wire.LESS: operator.lt,
    wire.LESS_OR_EQUAL: operator.le,
    wire.GREATER: operator.gt,
    wire.GREATER_OR_EQUAL: operator.ge,
    wire.EQUAL: operator.eq,
    wire.NOT_EQUAL: operator.ne,
}


def predicate(restriction: wire.Restriction) -> Predicate:
    """What tells the rows that ``restriction`` keeps; raises :class:`UnsupportedRestrictionError`."""
    return _COMPILERS[type(restriction)](restriction)


def _all(restriction: wire.RestrictAnd) -> Predicate:
    parts = [predicate(part) for part in restriction.restrictions]
    return lambda row: all(part(row) for part in parts)


def _any(restriction: wire.RestrictOr) -> Predicate:
    parts = [predicate(part) for part in restriction.restrictions]
    return lambda row: any(part(row) for part in parts)


def _not(restriction: wire.RestrictNot) -> Predicate:
    part = predicate(restriction.restriction)
    return lambda row: not part(row)


def _content(restriction: wire.RestrictContent) -> Predicate:
    tag = _comparable_tag(restriction.tag, restriction.value.tag)
    fold = bool(restriction.fuzzy_level_high & (wire.IGNORE_CASE | wire.LOOSE))
    wanted = _folded(restriction.value.value, fold)
    match = _CONTENT_MATCHES.get(restriction.fuzzy_level_low & 0xFFFF)
    if match is None or not isinstance(wanted, str | bytes):
        raise UnsupportedRestrictionError

    def holds(row: PropertyBag) -> bool:
        value = row.get(tag)
        return isinstance(value, type(wanted)) and match(_folded(value, fold), wanted)

    return holds


_CONTENT_MATCHES: Final[Mapping[int, Callable[[Value, Value], bool]]] = {
    wire.FULL_STRING: operator.eq,
    wire.SUBSTRING: operator.contains,
    wire.PREFIX: lambda value, wanted: bool(value.startswith(wanted)),
}


def _property(restriction: wire.RestrictProperty) -> Predicate:
    tag = _comparable_tag(restriction.tag, restriction.value.tag)
    compare = _relation(restriction.rel_op)
    wanted = _folded(restriction.value.value)

    def holds(row: PropertyBag) -> bool:
        value = row.get(tag)
        return value is not None and compare(_folded(value), wanted)

    return holds


def _compare_properties(restriction: wire.RestrictCompareProperties) -> Predicate:
    first = _comparable_tag(restriction.first_tag, restriction.second_tag)
    second = stored_tag(restriction.second_tag)
    compare = _relation(restriction.rel_op)

    def holds(row: PropertyBag) -> bool:
        values = row.get(first), row.get(second)
        return None not in values and compare(_folded(values[0]), _folded(values[1]))

    return holds


def _bitmask(restriction: wire.RestrictBitmask) -> Predicate:
    def holds(row: PropertyBag) -> bool:
        value = row.get(restriction.tag)
        return isinstance(value, int) and bool(value & restriction.mask) == bool(restriction.rel_op)

    return holds


def _size(restriction: wire.RestrictSize) -> Predicate:
    compare = _relation(restriction.rel_op)
    tag = stored_tag(restriction.tag)

    def holds(row: PropertyBag) -> bool:
        value = row.get(tag)
        return value is not None and compare(value_size(tag, value), restriction.size)

    return holds


def _exist(restriction: wire.RestrictExist) -> Predicate:
    return lambda row: read_property(row, restriction.tag) is not None


def _comment(restriction: wire.RestrictComment) -> Predicate:
    if restriction.restriction is None:
        return lambda _row: True
    return predicate(restriction.restriction)


def _unsupported(_restriction: wire.Restriction) -> Predicate:
    raise UnsupportedRestrictionError


_COMPILERS: Final[Mapping[type, Callable[..., Predicate]]] = {
    wire.RestrictAnd: _all,
    wire.RestrictOr: _any,
    wire.RestrictNot: _not,
    wire.RestrictContent: _content,
    wire.RestrictProperty: _property,
    wire.RestrictCompareProperties: _compare_properties,
    wire.RestrictBitmask: _bitmask,
    wire.RestrictSize: _size,
    wire.RestrictExist: _exist,
    wire.RestrictSubObject: _unsupported,
    wire.RestrictComment: _comment,
    wire.RestrictCount: _unsupported,
}


def _relation(rel_op: int) -> Callable[[Value, Value], bool]:
    relation = _RELATIONS.get(rel_op)
    if relation is None:
        raise UnsupportedRestrictionError
    return relation


def _comparable_tag(tag: PropertyTag, value_tag: PropertyTag) -> PropertyTag:
    """The tag to look up; it must hold the type that it is compared with."""
    stored, other = stored_tag(tag), stored_tag(value_tag)
    if stored & 0xFFFF == PtypUnspecified or (stored ^ other) & 0xFFFF:
        raise UnsupportedRestrictionError
    return stored


def _folded(value: Value, fold: bool = True) -> Value:
    return value.casefold() if fold and isinstance(value, str) else value
