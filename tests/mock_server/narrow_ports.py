"""Run in a network namespace of its own: the kernel has four ports for connections, the mock many more.

Says how channels were answered, and what the client access server counted.
"""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

from loadgen.wire import rts
from mock_server.roles.cas import ClientAccessRole
from mock_server.topology_file import read_topology
from tests.mock_server.wire_client import Connection, request_head

FIRST, PORTS, CHANNELS = 40000, 4, 6
IP_BIND_ADDRESS_NO_PORT = 24
TOPOLOGY = read_topology("small", base_address="127.31.3.0", changes={"limits.ports": "white-paper"})
CAS, MBX = TOPOLOGY.client_access[0], TOPOLOGY.mailbox[0]


async def open_channel(number: int) -> tuple[bytes, Connection]:
    """The answer to one OUT channel, whose connection comes from an address of its own, and that."""
    own = socket.socket()
    own.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    own.bind((f"127.31.4.{number}", 0))
    own.connect((CAS.address, TOPOLOGY.http.port))
    connection = Connection(*await asyncio.open_connection(sock=own))
    cookie = number.to_bytes(16, "little")
    a1 = rts.conn_a1(cookie, bytes(reversed(cookie)), 65536).encode()
    connection.send(request_head("RPC_OUT_DATA", MBX.name, TOPOLOGY.ports.store, 76) + a1)
    return (await connection.head()).split(b"\r\n")[0], connection


async def main() -> None:
    """Open more channels than there are ports, one after the other."""
    role = ClientAccessRole(TOPOLOGY, CAS, TOPOLOGY.directory())
    await role.start()
    await asyncio.get_running_loop().create_server(asyncio.Protocol, MBX.address, TOPOLOGY.ports.store)
    channels = [await open_channel(number) for number in range(1, CHANNELS + 1)]
    answers = [answer.decode() for answer, _ in channels]
    report = role.report()
    said = {"answers": answers, "connections": report.connections, "counters": report.counters}
    sys.stdout.write(json.dumps(said))


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{FIRST} {FIRST + PORTS - 1}", encoding="ascii")
asyncio.run(main())
