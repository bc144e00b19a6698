"""Where a run's accounts come from: any source gives account number ``index``, counted from 0."""

from typing import Protocol

import msgspec

from loadgen.client.account import Account


class AccountSource(Protocol):
    """Accounts of simulated users; travels to worker processes, and shows no secret."""

    @property
    def count(self) -> int:
        """How many accounts there are."""

    def account(self, index: int) -> Account:
        """Account number ``index``."""


def elsewhere(accounts: AccountSource, account: Account) -> Account | None:
    """The next account whose mailbox is on another server; None if all are on one."""
    following = (
        accounts.account((account.index + step) % accounts.count) for step in range(1, accounts.count)
    )
    return next((other for other in following if other.home_server != account.home_server), None)


class AccountList(msgspec.Struct, frozen=True):
    """Accounts one by one, as a users file has them."""

    accounts: tuple[Account, ...]

    @property
    def count(self) -> int:
        """How many accounts there are."""
        return len(self.accounts)

    def account(self, index: int) -> Account:
        """Account number ``index``; raises ``IndexError``."""
        return self.accounts[index]

    def __repr__(self) -> str:
        return f"AccountList({self.count} accounts)"
