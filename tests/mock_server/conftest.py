"""What tests of the mock's sockets share."""

import asyncio

import pytest


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
