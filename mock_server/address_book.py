"""What the address book shows of the directory: lists in their order, and users by how their names begin.

All is sorted once, at the start: no call looks at every entry.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import msgspec

from loadgen.wire.nspi.constants import BEGINNING_OF_TABLE, CURRENT, END_OF_TABLE
from loadgen.wire.nspi.stat import Stat
from loadgen.wire.nspi.tags import PidTagTransmittableDisplayName
from loadgen.wire.properties import (
    PidTagAccount,
    PidTagAddressBookDisplayNamePrintable,
    PidTagDisplayName,
    PidTagGivenName,
    PidTagSmtpAddress,
    PidTagSurname,
)
from mock_server.directory import Directory, Entry, Server

RECIPIENTS: Final = 0x1
SUBCONTAINERS: Final = 0x2
UNMODIFIABLE: Final = 0x8
"""PidTagContainerFlags ([MS-OXOABK] 2.2.2.1)."""

_GLOBAL_ADDRESS_LIST: Final = 0x0
_ALL_ADDRESS_LISTS: Final = 0x20
_ALL_USERS: Final = 0x21
_ALL_GROUPS: Final = 0x22
_LAST: Final = "\U0010ffff"
_DISPLAY_NAMES: Final = (
    PidTagDisplayName,
    PidTagAddressBookDisplayNamePrintable,
    PidTagTransmittableDisplayName,
    PidTagGivenName,
)
_GUID_DN: Final = "/guid="
_GUID_DNS: Final = (_GUID_DN, "/o=nt5/ou=00000000000000000000000000000000/cn=")


class Names:
    """MIds sorted by a name without its case, to be found by how the name begins."""

    __slots__ = ("keys", "mids")

    def __init__(self, names: Iterable[tuple[str, int]]) -> None:
        pairs = sorted((name.casefold(), mid) for name, mid in names)
        self.keys = [key for key, _ in pairs]
        self.mids = [mid for _, mid in pairs]

    def __len__(self) -> int:
        return len(self.mids)

    def from_name(self, name: str) -> int:
        """The index of the first name that is not before ``name``."""
        return bisect_left(self.keys, name.casefold())

    def beginning_with(self, prefix: str) -> range:
        """The indices of the names that begin so."""
        return range(self.from_name(prefix), self.from_name(prefix + _LAST))


class Table(Names):
    """The rows of an address list: MIds in the order of display names."""

    __slots__ = ("_positions",)

    def __init__(self, names: Iterable[tuple[str, int]]) -> None:
        super().__init__(names)
        self._positions = {mid: position for position, mid in enumerate(self.mids)}

    def __contains__(self, mid: int) -> bool:
        return mid in self._positions

    def index(self, mid: int) -> int | None:
        """Where the object stands; None if it is not in here."""
        return self._positions.get(mid)

    def position(self, stat: Stat) -> int | None:
        """The index of the row at which ``stat`` is, before its delta; None if its MId is not in here."""
        if stat.current_rec == BEGINNING_OF_TABLE:
            return 0
        if stat.current_rec == END_OF_TABLE:
            return len(self)
        if stat.current_rec == CURRENT:
            return min(len(self) * stat.num_pos // stat.total_recs, len(self)) if stat.total_recs else 0
        return self.index(stat.current_rec)

    def stat_at(self, stat: Stat, position: int) -> Stat:
        """``stat`` moved to the row at ``position``, or to the end behind the last row."""
        current_rec = self.mids[position] if position < len(self) else END_OF_TABLE
        return msgspec.structs.replace(
            stat, current_rec=current_rec, delta=0, num_pos=position, total_recs=len(self)
        )


class Container(msgspec.Struct, frozen=True):
    """An address list as the hierarchy shows it; only the global one has no GUID in its name."""

    mid: int
    display_name: str
    flags: int
    dn: str
    table: Table
    parent: "Container | None" = None

    @property
    def depth(self) -> int:
        """How many lists it stands below."""
        return 0 if self.parent is None else self.parent.depth + 1


AddressBookObject: TypeAlias = Entry | Server | Container


class AddressBook:
    """The address lists over one directory."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.server_guid = directory.server_guid
        self._users = Table((user.display_name, user.mid) for user in directory.users)
        self._addresses = Names((user.smtp, user.mid) for user in directory.users)
        self._surnames = Names((surname(user), user.mid) for user in directory.users)
        self._indexes = {
            tag >> 16: names
            for names, tags in (
                (self._users, _DISPLAY_NAMES),
                (self._addresses, (PidTagSmtpAddress, PidTagAccount)),
                (self._surnames, (PidTagSurname,)),
            )
            for tag in tags
        }
        self.containers = self._make_containers()
        self._containers = {container.mid: container for container in self.containers}

    def _make_containers(self) -> tuple[Container, ...]:
        def dn(mid: int) -> str:
            return _GUID_DN + self.object_guid(mid).hex()

        nobody = Table(())
        filled = RECIPIENTS | UNMODIFIABLE
        lists = Container(
            _ALL_ADDRESS_LISTS,
            "All Address Lists",
            SUBCONTAINERS | UNMODIFIABLE,
            dn(_ALL_ADDRESS_LISTS),
            nobody,
        )
        return (
            Container(_GLOBAL_ADDRESS_LIST, "Global Address List", filled, "/", self._users),
            lists,
            Container(_ALL_USERS, "All Users", filled, dn(_ALL_USERS), self._users, lists),
            Container(_ALL_GROUPS, "All Groups", filled, dn(_ALL_GROUPS), nobody, lists),
        )

    def table(self, container_id: int) -> Table | None:
        """The rows of an address list; None if there is no such list."""
        container = self._containers.get(container_id)
        return None if container is None else container.table

    def names_beginning(self, property_id: int) -> Names | None:
        """Names that begin with what a user has as this property, if there is an index of such."""
        return self._indexes.get(property_id)

    def object_guid(self, mid: int) -> bytes:
        """The GUID of an object: the server's, but for the MId at its end."""
        return self.server_guid[:12] + mid.to_bytes(4, "little")

    def by_mid(self, mid: int) -> AddressBookObject | None:
        """The object with this Minimal Entry ID; the global list has none, since 0 means no object."""
        return self.directory.by_mid(mid) or (self._containers.get(mid) if mid else None)

    def by_dn(self, dn: str) -> AddressBookObject | None:
        """The object with this distinguished name, which may be made of its GUID."""
        for prefix in _GUID_DNS:
            if dn.lower().startswith(prefix):
                return self._by_hex_guid(dn[len(prefix) :])
        return self.directory.by_dn(dn) or self.directory.server_by_dn(dn)

    def _by_hex_guid(self, text: str) -> AddressBookObject | None:
        try:
            guid = bytes.fromhex(text)
        except ValueError:
            return None
        known = len(guid) == 16 and guid.startswith(self.server_guid[:12])
        return self.by_mid(int.from_bytes(guid[12:], "little")) if known else None

    def resolve(self, text: str, table: Table, limit: int) -> list[AddressBookObject]:
        """Up to ``limit`` objects that ``text`` may mean (ambiguous name resolution).

        A distinguished name means one object of the whole directory. Anything else means the users in
        ``table`` whose display name, given name, surname, alias or address begins so, or, of two words,
        whose given name and surname do, in either order; behind a "=" stands a whole alias or display name.
        """
        exact = self.by_dn(text)
        if exact is not None:
            return [exact]
        mids: dict[int, None] = {}
        for mid in self._matches(text) if text and len(table) else ():
            mids[mid] = None
            if len(mids) == limit:
                break
        return [user for user in map(self.by_mid, mids) if user is not None]

    def _matches(self, text: str) -> Iterator[int]:
        if text.startswith("="):
            return self._exactly(text[1:])
        if text[:5].lower() == "smtp:":
            text = text[5:]
        return self._beginning_with(text)

    def _exactly(self, name: str) -> Iterator[int]:
        user = self.directory.by_alias(name)
        if user is not None:
            yield user.mid
        for index in self._users.beginning_with(name):
            if self._users.keys[index] != name.casefold():
                break
            yield self._users.mids[index]

    def _beginning_with(self, text: str) -> Iterator[int]:
        # The given name is what a display name begins with, and the alias what an address begins with.
        for names in (self._users, self._addresses, self._surnames):
            yield from (names.mids[index] for index in names.beginning_with(text))
        first, _, second = text.partition(" ")
        if second:
            yield from self._of_both(first, second)
            yield from self._of_both(second, first)

    def _of_both(self, given: str, last: str) -> Iterator[int]:
        by_given, by_surname = self._users.beginning_with(given), self._surnames.beginning_with(last)
        fewer, names = (
            (by_given, self._users) if len(by_given) < len(by_surname) else (by_surname, self._surnames)
        )
        for index in fewer:
            user = self.directory.by_mid(names.mids[index])
            if isinstance(user, Entry) and _begins(user.display_name, given) and _begins(surname(user), last):
                yield user.mid


def given_name(user: Entry) -> str:
    """The first word of the display name."""
    return user.display_name.partition(" ")[0]


def surname(user: Entry) -> str:
    """The rest of the display name."""
    return user.display_name.partition(" ")[2]


def _begins(name: str, prefix: str) -> bool:
    return name.casefold().startswith(prefix.casefold())
