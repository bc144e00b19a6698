"""What a mock organisation tells of its users."""

import pytest

from loadgen.client.organisation import Accounts, Endpoint, Organisation, Server

ACCOUNTS = Accounts(
    count=8,
    domain="contoso.test",
    organisation="Contoso",
    administrative_group="First Administrative Group",
    alias="user{index:05d}",
    display_name="User {index:05d}",
    password="secret",
    servers=("MBX1", "MBX2"),
    public_servers=(),
)


def organisation(directory, catalogs):
    servers = {name: Server("global_catalog", "127.0.0.1", {"directory": 6004}) for name in catalogs}
    servers |= {name: Server("mailbox", "127.0.0.2", {"store": 6001}) for name in ACCOUNTS.servers}
    return Organisation((Endpoint("CAS1", "127.0.0.3", 80),), servers, "", ACCOUNTS, directory=directory)


@pytest.mark.parametrize(
    ("directory", "catalogs", "remembered"),
    [
        ("dsproxy", ("GC1", "GC2"), [""] * 8),
        ("global-catalog", (), [""] * 8),
        ("global-catalog", ("GC1",), ["gc1.contoso.test"] * 8),
        (
            "global-catalog",
            ("GC1", "GC2"),
            [f"gc{number}.contoso.test" for number in (1, 2, 2, 1, 1, 2, 2, 1)],
        ),
    ],
)
def test_users_have_been_referred_to_the_catalogs_in_turn(directory, catalogs, remembered):
    """Each mailbox server begins with another one."""
    one = organisation(directory, catalogs)
    assert [one.account(index).directory_server for index in range(8)] == remembered
