"""What NspiGetMatches finds ([MS-OXNSPI] 3.1.4.1.10): restrictions over the users of an address list.

A directory refuses a search rather than look at everybody. Where an index tells who may match, only they are
looked at; in any case no more entries than a domain controller's MaxTempTableSize lets through, for no more
terms than people ask for.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Final, TypeAlias

import msgspec

from loadgen.wire import nspi
from loadgen.wire.nspi.constants import TABLE_TOO_BIG, TOO_COMPLEX
from loadgen.wire.nspi.tags import PidTagAnr
from loadgen.wire.properties import MULTIPLE, PropertyTag, PropertyValue, PtypString, Value
from loadgen.wire.restrictions import (
    EQUAL,
    FULL_STRING,
    GREATER,
    GREATER_OR_EQUAL,
    LESS,
    LESS_OR_EQUAL,
    NOT_EQUAL,
    PREFIX,
    SUBSTRING,
)
from mock_server.address_book import AddressBook, AddressBookObject, Table
from mock_server.directory import Entry
from mock_server.rpc.nspi_error import NspiError
from mock_server.rpc.nspi_rows import as_unicode, user_property

MOST_ENTRIES: Final = 10_000
MOST_TERMS: Final = 32

Matches: TypeAlias = Callable[[Value, Value], bool]

_RELATIONS: Final[Mapping[int, Matches]] = {
    LESS: operator.lt,
    LESS_OR_EQUAL: operator.le,
    GREATER: operator.gt,
    GREATER_OR_EQUAL: operator.ge,
    EQUAL: operator.eq,
    NOT_EQUAL: operator.ne,
}
_FUZZY: Final[Mapping[int, Matches]] = {
    FULL_STRING: operator.eq,
    SUBSTRING: operator.contains,
    PREFIX: str.startswith,
}


class _Term(msgspec.Struct, frozen=True):
    """A restriction made ready: whom it ``holds`` for, and among whom those are if an index tells."""

    holds: Callable[[Entry], bool]
    among: tuple[Sequence[int], ...] | None = None

    @property
    def size(self) -> int:
        """How many entries must be looked at."""
        return MOST_ENTRIES + 1 if self.among is None else sum(map(len, self.among))


_NOBODY: Final = _Term(lambda _user: False, ())
_EVERYBODY: Final = _Term(lambda _user: True)


class Search:
    """One search in the users of ``table``; ``text_of`` reads strings in the client's code page."""

    def __init__(self, book: AddressBook, table: Table, text_of: Callable[[PropertyValue], str]) -> None:
        self._book = book
        self._table = table
        self._text_of = text_of
        self._terms = 0

    def find(self, restriction: nspi.Restriction, limit: int) -> list[AddressBookObject]:
        """Those for whom ``restriction`` holds; raises :class:`NspiError` TABLE_TOO_BIG beyond ``limit``.

        TABLE_TOO_BIG also where too many entries would have to be looked at, TOO_COMPLEX for a restriction
        that the directory does not evaluate.
        """
        anr = self._anr(restriction)
        found = self._filtered(restriction, limit) if anr is None else self._resolved(anr, limit)
        if len(found) > limit:
            raise NspiError(TABLE_TOO_BIG)
        return found

    def _filtered(self, restriction: nspi.Restriction, limit: int) -> list[AddressBookObject]:
        term = self._term(restriction)
        candidates = (self._table.mids,) if term.among is None else term.among
        if sum(map(len, candidates)) > MOST_ENTRIES:
            raise NspiError(TABLE_TOO_BIG)
        found: list[AddressBookObject] = []
        for mid in dict.fromkeys(chain.from_iterable(candidates)):
            user = self._book.by_mid(mid)
            if isinstance(user, Entry) and mid in self._table and term.holds(user):
                found.append(user)
                if len(found) > limit:
                    break
        return found

    def _resolved(self, text: str, limit: int) -> list[AddressBookObject]:
        return self._book.resolve(text, self._table, limit + 1)

    def _anr(self, restriction: nspi.Restriction) -> str | None:
        """The name that an ambiguous name resolution asks for, if ``restriction`` is one."""
        if not isinstance(restriction, nspi.PropertyRestriction) or as_unicode(restriction.tag) != PidTagAnr:
            return None
        if restriction.relop != EQUAL or restriction.tag != restriction.value.tag:
            raise NspiError(TOO_COMPLEX)
        return self._text_of(restriction.value)

    def _term(self, restriction: nspi.Restriction) -> _Term:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise NspiError(TOO_COMPLEX)
        match restriction:
            case nspi.AndRestriction():
                return self._all([self._term(part) for part in restriction.restrictions])
            case nspi.OrRestriction():
                return self._any([self._term(part) for part in restriction.restrictions])
            case nspi.NotRestriction():
                term = self._term(restriction.restriction)
                return _Term(lambda user: not term.holds(user))
            case nspi.ExistRestriction():
                return _NOBODY if user_property(restriction.tag) is None else _EVERYBODY
            case nspi.ContentRestriction():
                return self._content(restriction)
            case nspi.PropertyRestriction():
                return self._property(restriction)
        raise NspiError(TOO_COMPLEX)

    def _all(self, terms: Sequence[_Term]) -> _Term:
        fewest = min(terms, key=lambda term: term.size, default=_EVERYBODY)
        return _Term(lambda user: all(term.holds(user) for term in terms), fewest.among)

    def _any(self, terms: Sequence[_Term]) -> _Term:
        among: list[Sequence[int]] | None = []
        for term in terms:
            among = None if among is None or term.among is None else [*among, *term.among]
        return _Term(
            lambda user: any(term.holds(user) for term in terms), None if among is None else tuple(among)
        )

    def _content(self, restriction: nspi.ContentRestriction) -> _Term:
        kind = restriction.fuzzy_level & 0xFFFF
        matches = _FUZZY.get(kind)
        if matches is None or as_unicode(restriction.value.tag) & 0xFFFF != PtypString:
            raise NspiError(TOO_COMPLEX)
        return self._comparison(restriction.tag, restriction.value, matches, by_prefix=kind != SUBSTRING)

    def _property(self, restriction: nspi.PropertyRestriction) -> _Term:
        anr = self._anr(restriction)
        if anr is not None:
            found = self._resolved(anr, MOST_ENTRIES)
            mids = frozenset(match.mid for match in found)
            return _Term(lambda user: user.mid in mids, (tuple(mids),))
        matches = _RELATIONS.get(restriction.relop)
        if matches is None:
            raise NspiError(TOO_COMPLEX)
        by_prefix = restriction.relop == EQUAL
        return self._comparison(restriction.tag, restriction.value, matches, by_prefix=by_prefix)

    def _comparison(
        self, tag: PropertyTag, value: PropertyValue, matches: Matches, *, by_prefix: bool
    ) -> _Term:
        """``by_prefix``: whoever matches has a value that begins with this one."""
        found = user_property(tag)
        if found is None:
            return _NOBODY
        native, get = found
        kind = native & ~MULTIPLE
        same = tag >> 16 == value.tag >> 16 and as_unicode(value.tag) & 0xFFFF == kind
        if not same or value.value is None:
            raise NspiError(TOO_COMPLEX)
        wanted = self._text_of(value).casefold() if kind == PtypString else value.value
        book = self._book

        def holds(user: Entry) -> bool:
            values = get(book, user)
            every = values if isinstance(values, tuple) else (values,)
            return any(matches(_folded(one), wanted) for one in every)

        names = book.names_beginning(tag >> 16) if by_prefix else None
        if names is None:
            return _Term(holds)
        span = names.beginning_with(wanted)
        return _Term(holds, (names.mids[span.start : span.stop],))


def _folded(value: Value) -> Value:
    return value.casefold() if isinstance(value, str) else value
