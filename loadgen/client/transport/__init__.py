"""RPC connections over asyncio: the only place with client sockets.

An RPC connection is one or more TCP connections under :class:`~loadgen.client.transport.calling.Caller`,
which turns PDUs into answers to calls. An idle one has no task and no timer, only an alarm that sending never
touches: when woken it looks whether anything is due.
"""

from loadgen.client.transport.connection import ConnectionOptions, Probe, RpcConnection
from loadgen.client.transport.tcp_connection import (
    TcpConnection,
    mapped_port,
    open_mapped_connection,
    open_mapper,
    open_service,
    open_tcp_connection,
)
from loadgen.client.transport.virtual_connection import VirtualConnection, open_virtual_connection

__all__ = [
    "ConnectionOptions",
    "Probe",
    "RpcConnection",
    "TcpConnection",
    "VirtualConnection",
    "mapped_port",
    "open_mapped_connection",
    "open_mapper",
    "open_service",
    "open_tcp_connection",
    "open_virtual_connection",
]
