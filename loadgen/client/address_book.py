"""What Outlook does on its directory connection."""

from collections.abc import Sequence
from typing import Final, Literal

from loadgen.client.account import Account
from loadgen.client.transport import RpcConnection
from loadgen.errors import WrongAnswer
from loadgen.protocol.nspi_session import NspiSession
from loadgen.wire.nspi.constants import RESOLVED
from loadgen.wire.properties import (
    PidTagAccount,
    PidTagAddressBookDisplayNamePrintable,
    PidTagAddressType,
    PidTagBusinessTelephoneNumber,
    PidTagDisplayName,
    PidTagDisplayType,
    PidTagEmailAddress,
    PidTagEntryId,
    PidTagObjectType,
    PidTagOfficeLocation,
    PidTagSmtpAddress,
    PidTagTitle,
    PropertyTag,
    Value,
)

GLOBAL_ADDRESS_LIST: Final = 0

_RESOLVE_COLUMNS = (
    PidTagEntryId,
    PidTagDisplayName,
    PidTagAddressType,
    PidTagEmailAddress,
    PidTagObjectType,
    PidTagDisplayType,
    PidTagSmtpAddress,
    PidTagAccount,
)
_OWN_COLUMNS = (
    PidTagDisplayName,
    PidTagEmailAddress,
    PidTagSmtpAddress,
    PidTagAddressBookDisplayNamePrintable,
)
_BROWSE_COLUMNS = (
    PidTagEntryId,
    PidTagDisplayName,
    PidTagEmailAddress,
    PidTagDisplayType,
    PidTagTitle,
    PidTagBusinessTelephoneNumber,
    PidTagOfficeLocation,
)
_SCREEN = 50
"""Rows that one page of the address book shows."""
_SCREENS = 2


class AddressBook:
    """The directory, seen by ``account``; all methods raise :class:`~loadgen.errors.PeerError`.

    ``by`` says what of a recipient is looked up.
    """

    __slots__ = ("_account", "_by_address", "_connection", "_session")

    def __init__(
        self, connection: RpcConnection, account: Account, *, by: Literal["alias", "address"] = "alias"
    ) -> None:
        self._by_address = by == "address"
        self._connection = connection
        self._account = account
        self._session = NspiSession()

    async def bind(self) -> None:
        """Opens the session, lists the address lists, and looks the user's own entry up."""
        session, call = self._session, self._connection.call
        session.take_bound(await call(session.bind()))
        session.take_special_table(await call(session.special_table()))
        find = session.find((self._account.legacy_dn,))
        (own,) = session.take_found(find, await call(find))
        if own == 0:
            raise WrongAnswer(f"the directory does not know {self._account.legacy_dn}")
        read = session.read(own, _OWN_COLUMNS)
        session.take_read(read, await call(read), _known(self._account))

    async def resolve(self, accounts: Sequence[Account]) -> None:
        """Checks the names of recipients, as Outlook does before it sends (NspiResolveNamesW)."""
        session = self._session
        names = tuple(account.smtp if self._by_address else account.alias for account in accounts)
        request = session.resolve(names, _RESOLVE_COLUMNS)
        resolved = session.take_resolved(
            request, await self._connection.call(request), tuple(map(_known, accounts))
        )
        for asked, name in zip(names, resolved, strict=True):
            if name.outcome != RESOLVED:
                raise WrongAnswer(f"the directory does not resolve {asked}: outcome {name.outcome}")

    async def browse(self) -> None:
        """Goes to the user's own place in the global address list and pages on from there."""
        session, call = self._session, self._connection.call
        go_to = session.go_to(GLOBAL_ADDRESS_LIST)
        session.take_moved(go_to, await call(go_to))
        seek = session.seek(self._account.display_name, (PidTagDisplayName,))
        session.take_sought(seek, await call(seek))
        expected: str | None = self._account.display_name
        for _ in range(_SCREENS):
            if session.at_end:
                return
            left = session.stat.total_recs - session.stat.num_pos
            query = session.query_rows(_SCREEN, _BROWSE_COLUMNS)
            rows = session.take_rows(query, await call(query))
            names = [value.value for row in rows for value in row if value.tag == PidTagDisplayName]
            if expected is not None and names[:1] != [expected]:
                raise WrongAnswer(f"the address list shows {names[:1]} where {expected} should stand")
            if len(rows) != min(left, _SCREEN):
                raise WrongAnswer(f"the address list shows {len(rows)} rows, {left} are left")
            expected = None

    async def unbind(self) -> None:
        """Ends the session; the connection stays."""
        self._session.take_unbound(await self._connection.call(self._session.unbind()))


def _known(account: Account) -> dict[PropertyTag, Value]:
    return {
        PidTagDisplayName: account.display_name,
        PidTagEmailAddress: account.legacy_dn,
        PidTagSmtpAddress: account.smtp,
    }
