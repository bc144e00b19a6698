"""Rows of the address book: which properties an object has, in the type in which they are asked for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from loadgen.wire.nspi import tags as nspi_tags
from loadgen.wire.nspi.constants import (
    DT_AGENT,
    DT_CONTAINER,
    DT_MAILUSER,
    NOT_FOUND,
    OBJECT_TYPE_MAILUSER,
)
from loadgen.wire.nspi.entry_id import PROVIDER_UID, EphemeralEntryId, PermanentEntryId
from loadgen.wire.nspi.values import Row
from loadgen.wire.properties import (
    MULTIPLE,
    PidTagAccount,
    PidTagAddressBookDisplayNamePrintable,
    PidTagAddressType,
    PidTagCompanyName,
    PidTagCreationTime,
    PidTagDisplayName,
    PidTagDisplayType,
    PidTagEmailAddress,
    PidTagEntryId,
    PidTagGivenName,
    PidTagInstanceKey,
    PidTagLastModificationTime,
    PidTagMappingSignature,
    PidTagObjectType,
    PidTagRecordKey,
    PidTagSearchKey,
    PidTagSendInternetEncoding,
    PidTagSendRichInfo,
    PidTagSmtpAddress,
    PidTagSurname,
    PropertyTag,
    PropertyValue,
    PtypErrorCode,
    PtypMultipleString,
    PtypString,
    PtypString8,
    PtypUnspecified,
    Value,
    filetime_from_unix,
)
from mock_server.address_book import AddressBook, AddressBookObject, Container, given_name, surname
from mock_server.directory import Entry, Server

CODE_PAGES: Final[Mapping[int, str]] = {
    0: "cp1252",
    874: "cp874",
    932: "cp932",
    936: "gbk",
    949: "cp949",
    950: "cp950",
    **{code_page: f"cp{code_page}" for code_page in range(1250, 1259)},
    20127: "ascii",
    20261: "ascii",  # T.61, which Python has not; letters and digits are the same
    28591: "latin-1",
    65001: "utf-8",
}
"""Code pages that a STAT may name for 8-bit strings, and what Python calls them."""

_CREATED: Final = filetime_from_unix(1_167_609_600)  # the beginning of 2007, when such servers were new
_ACL_CAPABLE: Final = 0x40000000

ObjectT = TypeVar("ObjectT", Entry, Server, Container)
Getters = dict[PropertyTag, Callable[[AddressBook, ObjectT], Value]]

_USER: Getters[Entry] = {
    PidTagInstanceKey: lambda _book, user: user.mid.to_bytes(4, "little"),
    PidTagMappingSignature: lambda _book, _user: PROVIDER_UID,
    PidTagRecordKey: lambda _book, user: PermanentEntryId(DT_MAILUSER, user.dn).encode(),
    PidTagObjectType: lambda _book, _user: OBJECT_TYPE_MAILUSER,
    PidTagEntryId: lambda _book, user: PermanentEntryId(DT_MAILUSER, user.dn).encode(),
    PidTagDisplayName: lambda _book, user: user.display_name,
    PidTagAddressType: lambda _book, _user: "EX",
    PidTagEmailAddress: lambda _book, user: user.dn,
    PidTagCreationTime: lambda _book, _user: _CREATED,
    PidTagLastModificationTime: lambda _book, _user: _CREATED,
    PidTagSearchKey: lambda _book, user: f"EX:{user.dn}".upper().encode("ascii", "replace") + b"\0",
    PidTagDisplayType: lambda _book, _user: DT_MAILUSER,
    nspi_tags.PidTagDisplayTypeEx: lambda _book, _user: DT_MAILUSER | _ACL_CAPABLE,
    PidTagSmtpAddress: lambda _book, user: user.smtp,
    PidTagAddressBookDisplayNamePrintable: lambda _book, user: user.display_name,
    PidTagAccount: lambda _book, user: user.alias,
    PidTagGivenName: lambda _book, user: given_name(user),
    PidTagSurname: lambda _book, user: surname(user),
    PidTagCompanyName: lambda book, _user: book.directory.organisation.organisation,
    nspi_tags.PidTagTransmittableDisplayName: lambda _book, user: user.display_name,
    PidTagSendRichInfo: lambda _book, _user: True,
    PidTagSendInternetEncoding: lambda _book, _user: 0,
    nspi_tags.PidTagAddressBookHomeMessageDatabase: (
        lambda book, user: book.directory.home_server(user).private_store_dn
    ),
    nspi_tags.PidTagAddressBookProxyAddresses: lambda _book, user: (f"SMTP:{user.smtp}",),
    nspi_tags.PidTagAddressBookObjectGuid: lambda book, user: book.object_guid(user.mid),
    nspi_tags.PidTagAddressBookContainerId: lambda _book, user: user.mid,
}
_SERVER: Getters[Server] = {
    PidTagInstanceKey: lambda _book, server: server.mid.to_bytes(4, "little"),
    PidTagEntryId: lambda _book, server: PermanentEntryId(DT_AGENT, server.dn).encode(),
    PidTagDisplayName: lambda _book, server: server.name,
    PidTagAddressType: lambda _book, _server: "EX",
    PidTagEmailAddress: lambda _book, server: server.dn,
    PidTagDisplayType: lambda _book, _server: DT_AGENT,
    nspi_tags.PidTagAddressBookNetworkAddress: lambda _book, server: (
        f"ncacn_ip_tcp:{server.fqdn}",
        f"ncacn_http:{server.fqdn}",
        f"netbios:{server.name}",
    ),
    nspi_tags.PidTagAddressBookObjectGuid: lambda book, server: book.object_guid(server.mid),
}
_CONTAINER: Getters[Container] = {
    PidTagInstanceKey: lambda _book, container: container.mid.to_bytes(4, "little"),
    PidTagEntryId: lambda _book, container: PermanentEntryId(DT_CONTAINER, container.dn).encode(),
    nspi_tags.PidTagContainerFlags: lambda _book, container: container.flags,
    nspi_tags.PidTagDepth: lambda _book, container: container.depth,
    nspi_tags.PidTagAddressBookContainerId: lambda _book, container: container.mid,
    PidTagDisplayName: lambda _book, container: container.display_name,
    PidTagDisplayType: lambda _book, _container: DT_CONTAINER,
    nspi_tags.PidTagAddressBookIsMaster: lambda _book, _container: False,
    nspi_tags.PidTagAddressBookParentEntryId: lambda _book, container: (
        PermanentEntryId(DT_CONTAINER, container.parent.dn).encode() if container.parent else None
    ),
    nspi_tags.PidTagAddressBookObjectGuid: lambda book, container: book.object_guid(container.mid),
}
_HIERARCHY_COLUMNS: Final = (
    PidTagEntryId,
    nspi_tags.PidTagContainerFlags,
    nspi_tags.PidTagDepth,
    nspi_tags.PidTagAddressBookContainerId,
    PidTagDisplayName,
    nspi_tags.PidTagAddressBookIsMaster,
    nspi_tags.PidTagAddressBookParentEntryId,
)
_OBJECTS: Final[Mapping[type, dict[PropertyTag, Callable[[AddressBook, Any], Value]]]] = {
    Entry: _USER,
    Server: _SERVER,
    Container: _CONTAINER,
}
_BY_ID = {
    kind: {tag >> 16: (tag & 0xFFFF, get) for tag, get in getters.items()}
    for kind, getters in _OBJECTS.items()
}
ALL_TAGS: Final = tuple(sorted({tag for getters in _OBJECTS.values() for tag in getters}))
"""All that any object has, strings as Unicode."""


def is_string8(tag: PropertyTag) -> bool:
    """Whether values of ``tag`` are 8-bit strings, so that a code page is needed."""
    return tag & 0xFFFF & ~MULTIPLE == PtypString8


def as_string8(tag: PropertyTag) -> PropertyTag:
    """``tag`` with 8-bit strings instead of Unicode."""
    return tag - 1 if tag & 0xFFFF in (PtypString, PtypMultipleString) else tag


def as_unicode(tag: PropertyTag) -> PropertyTag:
    """``tag`` with Unicode strings instead of 8-bit ones."""
    return tag + 1 if is_string8(tag) else tag


def user_property(tag: PropertyTag) -> tuple[int, Callable[[AddressBook, Entry], Value]] | None:
    """The type of a property, strings as Unicode, and how to get it of a user; None if users have it not."""
    return _BY_ID[Entry].get(tag >> 16)


class Columns:
    """Columns that a client wants of objects; ``ephemeral`` says which kind of entry id."""

    def __init__(
        self, book: AddressBook, tags: Sequence[PropertyTag], code_page: int, *, ephemeral: bool = False
    ) -> None:
        self._book = book
        self._tags = tags
        self._codec = CODE_PAGES.get(code_page, "ascii")
        self._ephemeral = ephemeral

    def row(self, found: AddressBookObject | None) -> Row:
        """A value for each column; an error for each that the object has not, or for all if there is none."""
        if found is None:
            return tuple([_missing(tag) for tag in self._tags])
        return tuple([self._value(found, tag) for tag in self._tags])

    def _value(self, found: AddressBookObject, tag: PropertyTag) -> PropertyValue:
        if tag == PidTagEntryId and self._ephemeral:
            return PropertyValue(tag, self._ephemeral_id(found))
        native, get = _BY_ID[type(found)].get(tag >> 16, _ABSENT)
        value = get(self._book, found)
        asked = tag & 0xFFFF or native
        if value is None or as_string8(asked) != as_string8(native):
            return _missing(tag)
        if asked != native:
            value = self._in_code_page(value)
        return PropertyValue(tag & 0xFFFF0000 | asked, value)

    def _ephemeral_id(self, found: AddressBookObject) -> bytes:
        display_type = _BY_ID[type(found)][PidTagDisplayType >> 16][1](self._book, found)
        return EphemeralEntryId(self._book.server_guid, display_type, found.mid).encode()

    def _in_code_page(self, value: Value) -> Value:
        if isinstance(value, tuple):
            return tuple([self._in_code_page(element) for element in value])
        return value.encode(self._codec, "replace").decode("latin-1")


_ABSENT = (PtypUnspecified, lambda _book, _found: None)


def _missing(tag: PropertyTag) -> PropertyValue:
    return PropertyValue(tag & 0xFFFF0000 | PtypErrorCode, NOT_FOUND)


def tags_of(found: AddressBookObject | None) -> tuple[PropertyTag, ...]:
    """All that an object has, strings as Unicode."""
    return () if found is None else tuple(_OBJECTS[type(found)])


def hierarchy_rows(book: AddressBook, code_page: int, *, unicode: bool) -> tuple[Row, ...]:
    """The address lists, each with the columns of the hierarchy ([MS-OXNSPI] 3.1.4.1.3)."""
    tags = _HIERARCHY_COLUMNS if unicode else tuple(map(as_string8, _HIERARCHY_COLUMNS))
    columns = Columns(book, tags, code_page)
    rows = map(columns.row, book.containers)
    return tuple(tuple([value for value in row if value.tag & 0xFFFF != PtypErrorCode]) for row in rows)
