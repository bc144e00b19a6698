"""Our transport against Samba's server: its endpoint mapper on 135, and the port that this one names."""

import pytest

from loadgen.client.inside import Inside, TcpPorts, TcpServer
from loadgen.client.transport import ConnectionOptions, open_mapped_connection, open_service, tcp_connection
from loadgen.errors import BindRefused
from loadgen.protocol.credentials import Credentials
from loadgen.wire import emsmdb, epm, mgmt
from loadgen.wire.pdu import SyntaxId
from tests.oracle.samba_server import (
    PASSWORD,
    PORT,
    SERVER,
    USER,
    needs_samba_server,
)

pytestmark = [pytest.mark.judge, needs_samba_server, pytest.mark.timeout(60)]

LSA = SyntaxId.of("12345778-1234-abcd-ef00-0123456789ab", 0)
CREDENTIALS = Credentials(USER, PASSWORD, SERVER)
YES = mgmt.IsServerListeningResponse(listening=True)

every_security = pytest.mark.parametrize(
    "options",
    [
        ConnectionOptions(rpc_security=level, rpc_mechanism=mechanism)
        for level in ("none", "integrity", "privacy")
        for mechanism in ("ntlm", "negotiate")
    ],
    ids=lambda options: f"{options.rpc_mechanism}-{options.rpc_security}",
)


@pytest.fixture
def connected_to(samba, monkeypatch) -> list[int]:
    """Sockets are made in the network of the server; the ports to which they go."""
    ports: list[int] = []

    async def connect(server, _many, _what, _timeout_s):
        ports.append(server.port)
        sock = samba.connect(server.port)
        sock.setblocking(False)
        return [sock]

    monkeypatch.setattr(tcp_connection, "connect", connect)
    return ports


@every_security
async def test_the_endpoint_mapper_leads_to_the_service(connected_to, options):
    layers: list[str] = []
    connection = await open_mapped_connection(
        TcpServer(SERVER, epm.PORT),
        (LSA,),
        CREDENTIALS,
        options,
        lambda layer, _started_ns, _ended_ns: layers.append(layer),
    )
    await connection.close()
    assert connected_to == [epm.PORT, PORT]
    assert layers == ["map_endpoint", "connect_tcp", "rpc_bind"]


@every_security
async def test_calls_at_a_static_port(connected_to, options):
    """Samba answers management, and nothing that is worth more, over TCP."""
    inside = Inside(TcpPorts(store=PORT))
    connection = await open_service(inside, SERVER, "store", (mgmt.INTERFACE,), CREDENTIALS, options)
    for _ in range(3):
        assert await connection.call(mgmt.IsServerListeningRequest()) == YES
    await connection.close()
    assert connected_to == [PORT]


async def test_what_nobody_has_registered_is_named(connected_to):
    with pytest.raises(BindRefused, match="EXCH01:135: the endpoint mapper has no port for a4f1db00"):
        await open_service(Inside(), SERVER, "store", (emsmdb.INTERFACE,), CREDENTIALS)
    assert connected_to == [epm.PORT]
