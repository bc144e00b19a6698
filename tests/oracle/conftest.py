"""What tests against Samba's RPC server share: one that runs for all tests of a module."""

from collections.abc import Iterator

import pytest

from tests.oracle.samba_server import SambaServer, running_samba


@pytest.fixture(scope="module")
def samba(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    """A server in a network of its own."""
    with running_samba(tmp_path_factory.mktemp("samba")) as server:
        yield server
