"""A recorded conversation, as a tap would have heard it."""

from loadgen.client.transport.tap import Tap, Tapped
from tests.recorded.capture import SERVER_PORT, read_segments


def play(name: str, tap: Tap) -> None:
    connections: dict[int, Tapped] = {}
    for port, by_client, data in read_segments(name):
        if port not in connections:
            channel = data[4 : data.index(b"_DATA")].decode() if data.startswith(b"RPC_") else "HTTP"
            connections[port] = Tapped(
                len(connections) + 1, channel, ("127.0.0.1", port), ("127.0.0.1", SERVER_PORT), False
            )
            tap(connections[port], "opened", b"")
        tap(connections[port], "sent" if by_client else "received", data)
    for tapped in connections.values():
        tap(tapped, "ended", b"")
        tap(tapped, "closed", b"")
