"""What tests of the mock share: a store with one client that has logged on, and sockets that are closed."""

import asyncio

import pytest

from mock_server.mailboxes.mailbox import Mailbox
from tests.mock_server.store_client import StoreClient, Stores, online


@pytest.fixture
def stores() -> Stores:
    """A mailbox server and a public folder server, without sockets."""
    return Stores()


@pytest.fixture
def client(stores: Stores) -> StoreClient:
    """The first user's, logged on."""
    return online(stores, 0)


@pytest.fixture
def mailbox(stores: Stores) -> Mailbox:
    """The first user's."""
    return stores.stores["MBX1"].mailbox(stores.directory.users[0])


@pytest.fixture
async def servers_closed():
    """Closes what the test listens on, which the roles themselves leave to the end of their process."""
    loop = asyncio.get_running_loop()
    create, servers = loop.create_server, []

    async def create_server(*args, **more):
        servers.append(await create(*args, **more))
        return servers[-1]

    loop.create_server = create_server
    yield
    loop.create_server = create
    for server in servers:
        server.close()
    for _ in range(20):
        await asyncio.sleep(0)
