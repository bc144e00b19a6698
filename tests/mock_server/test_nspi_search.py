"""Searches of the address book: against a naive evaluation, and what is refused rather than searched."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.wire import nspi
from loadgen.wire.nspi import constants, tags
from loadgen.wire.properties import (
    PidTagAccount,
    PidTagBusinessTelephoneNumber,
    PidTagDisplayName,
    PidTagDisplayType,
    PidTagGivenName,
    PidTagInstanceKey,
    PidTagSmtpAddress,
    PidTagSurname,
    PropertyValue,
)
from loadgen.wire.restrictions import (
    EQUAL,
    FULL_STRING,
    GREATER,
    GREATER_OR_EQUAL,
    IGNORE_CASE,
    LESS,
    LESS_OR_EQUAL,
    MATCHES,
    NOT_EQUAL,
    PREFIX,
    SUBSTRING,
)
from mock_server.address_book import AddressBook, Table
from mock_server.directory import Directory, Entry, Organisation
from mock_server.rpc.nspi_error import NspiError
from mock_server.rpc.nspi_search import MOST_ENTRIES, MOST_TERMS, Search

NAMES = ("Ann Smith", "ann jones", "Bob Smith", "Bo Jones", "Cy", "Ann Smithers", "Älf Ångström")


def directory_of(*names: str) -> Directory:
    """Users who are called so; their aliases, as always what addresses begin with, begin like their names."""
    directory = Directory(Organisation(), len(names))
    directory.users = tuple(
        Entry(user.mid, user.index, alias, name, user.dn, f"{alias}@x.test", "MBX1", "")
        for user, name in zip(directory.users, names, strict=True)
        for alias in (name[:2] + str(user.index),)
    )
    return directory


BOOK = AddressBook(directory_of(*NAMES))
GAL = BOOK.containers[0].table
PROPERTIES: dict[int, Callable[[Entry], Any]] = {
    PidTagDisplayName: lambda user: user.display_name,
    PidTagGivenName: lambda user: user.display_name.partition(" ")[0],
    PidTagSurname: lambda user: user.display_name.partition(" ")[2],
    PidTagAccount: lambda user: user.alias,
    PidTagSmtpAddress: lambda user: user.smtp,
    tags.PidTagAddressBookProxyAddresses: lambda user: (f"SMTP:{user.smtp}",),
    PidTagDisplayType: lambda _user: 0,
    PidTagInstanceKey: lambda user: user.mid.to_bytes(4, "little"),
}
RELATIONS: dict[int, Callable[[Any, Any], bool]] = {
    LESS: lambda a, b: a < b,
    LESS_OR_EQUAL: lambda a, b: a <= b,
    GREATER: lambda a, b: a > b,
    GREATER_OR_EQUAL: lambda a, b: a >= b,
    EQUAL: lambda a, b: a == b,
    NOT_EQUAL: lambda a, b: a != b,
}
FUZZY: dict[int, Callable[[Any, Any], bool]] = {
    FULL_STRING: lambda a, b: a == b,
    SUBSTRING: lambda a, b: b in a,
    PREFIX: lambda a, b: a.startswith(b),
}


def folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def holds(restriction: Any, user: Entry) -> bool:
    """What a restriction means, without indexes."""

    def any_value(matches: Callable[[Any, Any], bool]) -> bool:
        value = PROPERTIES[restriction.tag](user)
        every = value if isinstance(value, tuple) else (value,)
        return any(matches(folded(one), folded(restriction.value.value)) for one in every)

    match restriction:
        case nspi.AndRestriction():
            return all(holds(part, user) for part in restriction.restrictions)
        case nspi.OrRestriction():
            return any(holds(part, user) for part in restriction.restrictions)
        case nspi.NotRestriction():
            return not holds(restriction.restriction, user)
        case nspi.ExistRestriction():
            return restriction.tag in PROPERTIES
        case nspi.PropertyRestriction():
            return any_value(RELATIONS[restriction.relop])
        case nspi.ContentRestriction():
            return any_value(FUZZY[restriction.fuzzy_level & 0xFFFF])
    raise NotImplementedError


STRINGS = tuple(tag for tag in PROPERTIES if tag & 0xEFFF == 0x1F)
texts = st.sampled_from(
    ["", "a", "AN", "ann", "Ann Smith", "smith", "jones", "o", "bo3", "z", "äLF", "smtp:cy"]
)


def value(tag: int, text: str) -> PropertyValue:
    return PropertyValue(tag & ~0x1000, text)


leaves = (
    st.builds(
        lambda tag, relop, text: nspi.PropertyRestriction(relop, tag, value(tag, text)),
        st.sampled_from(STRINGS),
        st.sampled_from(sorted(RELATIONS)),
        texts,
    )
    | st.builds(
        lambda tag, kind, text: nspi.ContentRestriction(kind | IGNORE_CASE << 16, tag, value(tag, text)),
        st.sampled_from(STRINGS),
        st.sampled_from(sorted(FUZZY)),
        texts,
    )
    | st.builds(
        lambda relop, number: nspi.PropertyRestriction(
            relop, PidTagDisplayType, PropertyValue(PidTagDisplayType, number)
        ),
        st.sampled_from(sorted(RELATIONS)),
        st.integers(0, 2),
    )
    | st.sampled_from([PidTagDisplayName, PidTagBusinessTelephoneNumber]).map(
        lambda tag: nspi.ExistRestriction(0, tag, 0)
    )
)
restrictions = st.recursive(
    leaves,
    lambda parts: (
        st.lists(parts, max_size=3).map(lambda some: nspi.AndRestriction(tuple(some)))
        | st.lists(parts, max_size=3).map(lambda some: nspi.OrRestriction(tuple(some)))
        | parts.map(nspi.NotRestriction)
    ),
    max_leaves=8,
)


def find(restriction: Any, limit: int = 100, table: Table = GAL, book: AddressBook = BOOK) -> list[Any]:
    return Search(book, table, lambda value: value.value or "").find(restriction, limit)


@example(nspi.ContentRestriction(FULL_STRING | IGNORE_CASE << 16, PidTagAccount, value(PidTagAccount, "bo3")))
@given(restrictions)
def test_indexes_find_whom_a_look_at_everybody_finds(restriction):
    expected = {user.mid for user in BOOK.directory.users if holds(restriction, user)}
    found = find(restriction)
    assert {user.mid for user in found} == expected
    assert len(found) == len(expected)


def name_is(text: str, relop: int = EQUAL, tag: int = PidTagDisplayName) -> nspi.PropertyRestriction:
    return nspi.PropertyRestriction(relop, tag, PropertyValue(tag, text))


def anr(text: str) -> nspi.PropertyRestriction:
    return name_is(text, tag=tags.PidTagAnr)


def test_a_name_resolution_may_be_part_of_a_search():
    smiths = nspi.AndRestriction((anr("ann"), name_is("n s", tag=PidTagSurname, relop=GREATER)))
    assert sorted(user.display_name for user in find(smiths)) == ["Ann Smith", "Ann Smithers"]
    assert find(nspi.NotRestriction(nspi.OrRestriction((anr("ann"), anr("b"))))) == [
        user for user in BOOK.directory.users if user.display_name in ("Cy", "Älf Ångström")
    ]


def test_nobody_is_found_in_an_empty_list():
    groups = BOOK.containers[-1].table
    assert find(name_is("Cy"), table=groups) == []
    assert find(name_is("Cy", NOT_EQUAL), table=groups) == []


def test_what_users_have_not_matches_nobody():
    assert find(name_is("1", NOT_EQUAL, PidTagBusinessTelephoneNumber)) == []


def test_eight_bit_values_compare_with_unicode_properties():
    eight_bit = nspi.PropertyRestriction(EQUAL, PidTagDisplayName, PropertyValue(PidTagDisplayName - 1, "CY"))
    assert [user.display_name for user in find(eight_bit)] == ["Cy"]
    key = BOOK.directory.users[3].mid.to_bytes(4, "little")
    binary = nspi.PropertyRestriction(EQUAL, PidTagInstanceKey, PropertyValue(PidTagInstanceKey, key))
    assert [user.display_name for user in find(binary)] == ["Bo Jones"]


@pytest.mark.parametrize(
    "restriction",
    [
        nspi.ComparePropsRestriction(EQUAL, PidTagDisplayName, PidTagAccount),
        nspi.BitMaskRestriction(0, PidTagDisplayType, 1),
        nspi.SizeRestriction(EQUAL, PidTagDisplayName, 4),
        nspi.SubRestriction(0x0E12000D, name_is("Cy")),
        name_is("Cy", MATCHES),
        name_is("Cy", GREATER, tags.PidTagAnr),
        nspi.NotRestriction(name_is("Cy", GREATER, tags.PidTagAnr)),
        nspi.ContentRestriction(3, PidTagDisplayName, PropertyValue(PidTagDisplayName, "Cy")),
        nspi.ContentRestriction(PREFIX, PidTagDisplayType, PropertyValue(PidTagDisplayType, 0)),
        nspi.ContentRestriction(PREFIX, PidTagDisplayType, PropertyValue(PidTagDisplayName, "Cy")),
        nspi.PropertyRestriction(EQUAL, PidTagDisplayName, PropertyValue(PidTagAccount, "Cy")),
        nspi.PropertyRestriction(EQUAL, PidTagDisplayName, PropertyValue(0x30010003, 1)),
        nspi.PropertyRestriction(EQUAL, PidTagDisplayName, PropertyValue(PidTagDisplayName, None)),
        nspi.AndRestriction((name_is("Cy"),) * MOST_TERMS),
    ],
)
def test_too_complex(restriction):
    with pytest.raises(NspiError, match=f"0x{constants.TOO_COMPLEX:08X}"):
        find(restriction)


@pytest.fixture(scope="module")
def large() -> AddressBook:
    return AddressBook(Directory(Organisation(), MOST_ENTRIES + 1))


def test_no_more_than_a_bounded_number_is_looked_at(large: AddressBook):
    table = large.containers[0].table
    substring = nspi.ContentRestriction(
        SUBSTRING, PidTagDisplayName, PropertyValue(PidTagDisplayName, "0000")
    )
    few = nspi.ContentRestriction(PREFIX, PidTagDisplayName, PropertyValue(PidTagDisplayName, "User 0000"))
    for unindexed in (substring, nspi.OrRestriction((substring, few)), nspi.NotRestriction(few), anr("user")):
        with pytest.raises(NspiError, match=f"0x{constants.TABLE_TOO_BIG:08X}"):
            find(unindexed, MOST_ENTRIES, table, large)
    assert len(find(nspi.AndRestriction((substring, few)), 10, table, large)) == 10
    with pytest.raises(NspiError, match=f"0x{constants.TABLE_TOO_BIG:08X}"):
        find(few, 9, table, large)
