"""Finding a mailbox without Autodiscover: referral and directory, as a client does whose profile is new.

Somebody who knows a server, a user and a password asks that server's referral service whose directory to
use ([MS-OXABREF] 3.1.4.1), the directory for his address (DN, display name, home database), and the
referral service again for the server of that database ([MS-OXABREF] 3.1.4.2).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from loadgen.client.account import Account, RpcProxy
from loadgen.client.dialect import Ports
from loadgen.client.referral import name_of_server, refer
from loadgen.client.transport import ConnectionOptions, RpcConnection, open_virtual_connection
from loadgen.errors import (
    BindRefused,
    HttpRefused,
    MapiError,
    PeerError,
    TransportError,
    Unauthorized,
    WrongAnswer,
)
from loadgen.protocol.nspi_session import NspiSession, value_of
from loadgen.wire import nspi, rfr
from loadgen.wire.nspi import constants
from loadgen.wire.nspi.tags import PidTagAddressBookHomeMessageDatabase
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.properties import PidTagDisplayName, PidTagEmailAddress, PidTagSmtpAddress

ONE_FOR_ALL: Final = 6001
"""The endpoint at which Exchange 2013 and later, and Gromox, serve referral and directory, too."""

_COLUMNS: Final = (
    PidTagDisplayName,
    PidTagEmailAddress,
    PidTagSmtpAddress,
    PidTagAddressBookHomeMessageDatabase,
)
_MOST_NAMESAKES: Final = 50
"""Entries to choose from if an address may mean several: one may begin another."""


class DirectoryDiscovery:
    """Completes accounts by way of ``server``, a name behind ``proxy``.

    ``ports`` are those of the dialect; where a service does not answer at its own, 6001 is tried.
    """

    def __init__(self, proxy: RpcProxy, server: str, ports: Ports, options: ConnectionOptions) -> None:
        self._proxy = proxy
        self._server = server
        self._ports = ports
        self._options = options

    async def complete(self, account: Account) -> Account:
        """The account with what referral and directory say; what was known of it stays.

        Raises :class:`~loadgen.errors.PeerError`.
        """
        async with self._open(account, self._server, self._ports.referral, rfr.INTERFACE) as referral:
            directory_server = await self._directory_of(referral, account)
            async with self._open(
                account, directory_server, self._ports.directory, nspi.INTERFACE
            ) as directory:
                row = await _look_up(directory, account)
            database = value_of(row, PidTagAddressBookHomeMessageDatabase)
            home = account.home_server or (await name_of_server(referral, database) if database else "")
        return msgspec.structs.replace(
            account,
            legacy_dn=account.legacy_dn or value_of(row, PidTagEmailAddress) or "",
            display_name=account.display_name or value_of(row, PidTagDisplayName) or "",
            home_server=home or directory_server,
        )

    async def _directory_of(self, referral: RpcConnection, account: Account) -> str:
        """Whose directory to use: a service that knows users by their DN alone may not tell without one."""
        try:
            return await refer(referral, account)
        except (MapiError, WrongAnswer):
            if account.legacy_dn:
                raise
            return self._server

    @asynccontextmanager
    async def _open(
        self, account: Account, server: str, port: int, interface: SyntaxId
    ) -> AsyncIterator[RpcConnection]:
        try:
            connection = await self._connect(account, server, port, interface)
        except PeerError as error:
            if port == ONE_FOR_ALL or not _may_be_elsewhere(error):
                raise
            try:
                connection = await self._connect(account, server, ONE_FOR_ALL, interface)
            except PeerError:
                raise error from None
        try:
            yield connection
        finally:
            await connection.close()

    async def _connect(self, account: Account, server: str, port: int, interface: SyntaxId) -> RpcConnection:
        return await open_virtual_connection(
            self._proxy, server, port, (interface,), account.credentials, self._options
        )


def _may_be_elsewhere(error: PeerError) -> bool:
    """Whether another port may do: nobody minds who we are, but this port is not served."""
    return isinstance(error, HttpRefused | TransportError | BindRefused) and not isinstance(
        error, Unauthorized
    )


async def _look_up(directory: RpcConnection, account: Account) -> nspi.Row:
    """What the directory has under the account's DN or, if that is not known, under its address."""
    session = NspiSession()
    session.take_bound(await directory.call(session.bind()))
    row = await (_by_dn if account.legacy_dn else _by_address)(session, directory, account)
    session.take_unbound(await directory.call(session.unbind()))
    return row


async def _by_dn(session: NspiSession, directory: RpcConnection, account: Account) -> nspi.Row:
    find = session.find((account.legacy_dn,))
    (own,) = session.take_found(find, await directory.call(find))
    if own == 0:
        raise WrongAnswer(f"the directory does not know {account.legacy_dn}")
    read = session.read(own, _COLUMNS)
    return session.take_read(read, await directory.call(read))


async def _by_address(session: NspiSession, directory: RpcConnection, account: Account) -> nspi.Row:
    resolve = session.resolve((account.smtp,), _COLUMNS)
    (name,) = session.take_resolved(resolve, await directory.call(resolve))
    if name.outcome == constants.RESOLVED:
        rows: tuple[nspi.Row, ...] = (name.row,)
    elif name.outcome == constants.AMBIGUOUS:
        match = session.match(account.smtp, _MOST_NAMESAKES, _COLUMNS)
        rows = session.take_matched(match, await directory.call(match))
    else:
        rows = ()
    for row in rows:
        if str(value_of(row, PidTagSmtpAddress, "")).lower() == account.smtp.lower():
            return row
    raise WrongAnswer(f"the directory does not know {account.smtp}")
