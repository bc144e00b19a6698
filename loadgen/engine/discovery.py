"""Finding out, before a run, what its accounts lack: by Autodiscover, then by referral and directory."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from loadgen.client.account import Account, RpcProxy
from loadgen.client.autodiscover import Autodiscover
from loadgen.client.dialect import Ports
from loadgen.client.directory_discovery import DirectoryDiscovery
from loadgen.client.http_fetch import HttpFetch
from loadgen.engine.security import connection_options
from loadgen.errors import PeerError, ProfileError, Unauthorized
from loadgen.wire.autodiscover import MailboxSettings
from loadgen.workload.campaign import Campaign

MOST_AT_A_TIME: Final = 20
"""Accounts that are asked about at once."""


class Discoverer:
    """Completes accounts; ``settings`` are those that Autodiscover gave first, None if it gave none.

    ``addresses`` are IP addresses by host name, instead of those of the DNS; ``ports`` those of referral and
    directory behind the RPC proxy.
    """

    def __init__(
        self,
        campaign: Campaign,
        url: str,
        proxies: Sequence[RpcProxy],
        ports: Ports,
        addresses: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.settings: MailboxSettings | None = None
        self._campaign = campaign
        self._proxies = proxies
        self._ports = ports
        self._addresses = addresses
        where = campaign.autodiscover
        self._url = url if where == "target" else "" if where == "domain" else where
        self._free = asyncio.Semaphore(MOST_AT_A_TIME)

    async def complete(self, accounts: tuple[Account, ...]) -> tuple[Account, ...]:
        """The accounts with all that can be known of them.

        The first account is asked about alone: what it meets, all would meet. Raises
        :class:`~loadgen.errors.PeerError` or, for an account that nothing more can be asked about,
        :class:`~loadgen.errors.ProfileError`.
        """
        return (await self._complete(accounts[0]), *await asyncio.gather(*map(self._complete, accounts[1:])))

    async def _complete(self, account: Account) -> Account:
        async with self._free:
            account, problem = await self._ask_autodiscover(account)
            if not account.is_complete:
                account = await self._ask_directory(account, problem)
        _require_complete(account, self._campaign)
        return account

    async def _ask_autodiscover(self, account: Account) -> tuple[Account, PeerError | None]:
        """What Autodiscover makes of an account, or why it does not; asked once even if nothing is missing.

        That one answer tells how the server wants to be talked to.
        """
        given = with_servers(account, self._campaign)
        if self._campaign.autodiscover == "off" or (given.is_complete and self.settings is not None):
            return given, None
        schemes = connection_options(self._campaign).auth
        fetch = HttpFetch(account.credentials, self._proxies[0].tls_settings, schemes, self._addresses)
        try:
            found = await Autodiscover(fetch).find(account.smtp, self._url)
        except PeerError as error:
            error.step = "autodiscover"
            return given, error
        self.settings = self.settings or found.settings
        return with_servers(found.complete(account), self._campaign), None

    async def _ask_directory(self, account: Account, problem: PeerError | None) -> Account:
        """What referral and directory make of an account; ``problem`` is that of Autodiscover.

        Refused credentials are not tried again at another door, lest the account be locked.
        """
        server = self._campaign.rpc_server or account.home_server
        if problem is not None and (not server or isinstance(problem, Unauthorized)):
            raise problem
        if not server:
            return account
        proxy = self._proxies[account.index % len(self._proxies)]
        directory = DirectoryDiscovery(proxy, server, self._ports, connection_options(self._campaign))
        try:
            return await directory.complete(account)
        except PeerError as error:
            error.step = "directory"
            error.args = (f"directory for {account.smtp}, asked by way of {server}: {error}",)
            raise


def with_servers(account: Account, campaign: Campaign) -> Account:
    """The account with the campaign's servers, where it names none itself."""
    return msgspec.structs.replace(
        account,
        home_server=account.home_server or campaign.mailbox_server or "",
        public_server=account.public_server or campaign.public_folder_server or "",
    )


def _require_complete(account: Account, campaign: Campaign) -> None:
    missing = [
        column
        for column, value in (
            ("dn", account.legacy_dn),
            ("display_name", account.display_name),
            ("server", account.home_server),
        )
        if not value
    ]
    if missing:
        how = "autodiscover is off" if campaign.autodiscover == "off" else "Autodiscover does not say"
        raise ProfileError(
            f"users_file: {account.smtp}: {', '.join(missing)} not known, and {how}; "
            "give these columns, or rpc_server, a server whose directory can be asked"
        )
