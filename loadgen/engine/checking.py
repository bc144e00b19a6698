"""Who is checked where: the words of ``loadgen check`` as a subject, with a mock of its own if asked."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from loadgen.check.subject import Subject
from loadgen.client import users_file
from loadgen.client.account import Account
from loadgen.client.client_type import ClientType
from loadgen.client.users_file import PASSWORD_VARIABLE
from loadgen.engine.discovery import with_servers
from loadgen.engine.endpoint import given_addresses, is_real, parts_of, require_password, resolved
from loadgen.engine.security import connection_options, secured, tls_settings
from loadgen.engine.target import Target, open_target
from loadgen.errors import ProfileError
from loadgen.workload.campaign import Campaign, Population, groups_of

_MOCK_USERS: Final = 20


@asynccontextmanager
async def open_subject(
    target: str, campaign: Campaign, user: str, mailbox: str, say: Callable[[str], None]
) -> AsyncIterator[Subject]:
    """What is to be checked: ``user``, or the first of the campaign's users file, at ``target``.

    The campaign's one group says with which client type. Raises :class:`~loadgen.errors.ProfileError`, for a
    mock also :class:`~loadgen.errors.TransportError`.
    """
    (group,) = groups_of(campaign)
    if is_real(target):
        host, port, tls = parts_of(target)
        inside = group.client.transport == "tcp"
        yield Subject(
            target=target,
            host=host,
            port=port,
            tls=tls,
            account=with_servers(_account(campaign, user, mailbox, say), campaign),
            client=group.client,
            options=connection_options(campaign),
            tls_settings=tls_settings(campaign),
            addresses=given_addresses(host, campaign.resolve, needed=not inside),
            dialect=campaign.dialect or "",
            autodiscover=campaign.autodiscover,
            rpc_server=campaign.rpc_server or "",
            server_addresses=resolved(campaign.resolve),
        )
        return
    population = Population((replace(group, users=_MOCK_USERS if target == "mock" else 1),))
    # One user's log-on is no load, so nobody has to have agreed to it.
    async with open_target(target, replace(campaign, authorised=True), population, say) as opened:
        yield _mock_subject(opened, campaign, group.client, user or mailbox)


def _mock_subject(target: Target, campaign: Campaign, client: ClientType, user: str) -> Subject:
    proxy = secured(target.proxies[0], campaign)
    account = _known_account(target, user) if user else target.accounts.account(0)
    password = os.environ.get(PASSWORD_VARIABLE)
    return Subject(
        target=target.name,
        host=proxy.host,
        port=proxy.port,
        tls=proxy.tls,
        account=account if password is None else replace(account, password=password),
        client=client,
        options=connection_options(campaign),
        tls_settings=proxy.tls_settings,
        dialect=campaign.dialect or target.dialect.name,
        autodiscover=campaign.autodiscover,
        server_addresses=target.inside.addresses,
        tcp_ports=target.inside.ports,
    )


def _known_account(target: Target, user: str) -> Account:
    wanted = user.lower().rpartition("\\")[2]
    for index in range(target.accounts.count):
        account = target.accounts.account(index)
        if wanted in (account.user.lower(), account.alias.lower(), account.smtp.lower()):
            return replace(account, user=user)
    raise ProfileError(f"option: user: the mock has no {user}")


def _account(campaign: Campaign, user: str, mailbox: str, say: Callable[[str], None]) -> Account:
    if campaign.users_file:
        found = users_file.load(Path(campaign.users_file), os.environ.get(PASSWORD_VARIABLE))
        for warning in found.warnings:
            say(f"Warning: {warning}")
        wanted = {(user or mailbox).lower()}
        for account in found.accounts:
            if not (user or mailbox) or wanted & {account.user.lower(), account.smtp.lower()}:
                return account
        raise ProfileError(f"users_file: {campaign.users_file} has no {user or mailbox}")
    if not user and not mailbox:
        raise ProfileError("option: user: say who is to be checked: --user, --mailbox or --users-file")
    if "@" not in (mailbox or user):
        raise ProfileError(
            f"option: mailbox: {mailbox or user!r} is no address, so --mailbox has to be given"
        )
    password = require_password(user or mailbox, "option: user")
    (account,) = users_file.from_mailboxes((mailbox or user,), (password,))
    return replace(account, user=user or mailbox)
