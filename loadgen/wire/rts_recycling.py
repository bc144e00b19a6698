"""The RTS PDUs that replace a channel by its successor ([MS-RPCH] 2.2.4.10 to 2.2.4.45).

R1 goes through another proxy than the predecessor's, R2 through the same. There is one function for each
shape; the names at the end are PDUs that look the same. ``predecessor`` and ``successor`` are cookies.
"""

from loadgen.wire.rts import (
    ANCE,
    CLIENT,
    EOF,
    IN_CHANNEL,
    NONE,
    OUT_CHANNEL,
    PING,
    RECYCLE_CHANNEL,
    SERVER,
    ChannelLifetime,
    ConnectionTimeout,
    Cookie,
    Destination,
    Empty,
    NegativeANCE,
    ReceiveWindowSize,
    RtsPdu,
    Version,
)


def _cookies(
    vc_cookie: bytes, predecessor: bytes, successor: bytes
) -> tuple[Version, Cookie, Cookie, Cookie]:
    return Version(), Cookie(vc_cookie), Cookie(predecessor), Cookie(successor)


def in_r1_a1(vc_cookie: bytes, predecessor: bytes, successor: bytes) -> RtsPdu:
    """IN_R1/A1, client to the successor's inbound proxy."""
    return RtsPdu(RECYCLE_CHANNEL, _cookies(vc_cookie, predecessor, successor))


def in_r1_a2(
    vc_cookie: bytes, predecessor: bytes, successor: bytes, receive_window: int, connection_timeout_ms: int
) -> RtsPdu:
    """IN_R1/A2, the successor's inbound proxy to server; window and timeout are that proxy's."""
    values = ReceiveWindowSize(receive_window), ConnectionTimeout(connection_timeout_ms)
    return RtsPdu(RECYCLE_CHANNEL | IN_CHANNEL, (*_cookies(vc_cookie, predecessor, successor), *values))


def in_r1_a3(receive_window: int, connection_timeout_ms: int) -> RtsPdu:
    """IN_R1/A3, server to client by the outbound proxy; both values are from IN_R1/A2."""
    values = ReceiveWindowSize(receive_window), ConnectionTimeout(connection_timeout_ms)
    return RtsPdu(NONE, (Destination(CLIENT), Version(), *values))


def in_r1_a5(successor: bytes) -> RtsPdu:
    """IN_R1/A5, the last PDU of the client on the predecessor."""
    return RtsPdu(NONE, (Cookie(successor),))


def in_r1_b1() -> RtsPdu:
    """IN_R1/B1, the predecessor's inbound proxy to server: all is forwarded."""
    return RtsPdu(NONE, (Empty(),))


def in_r1_b2(receive_window: int) -> RtsPdu:
    """IN_R1/B2, server to the successor's inbound proxy; ``receive_window`` is the server's."""
    return RtsPdu(NONE, (ReceiveWindowSize(receive_window),))


def in_r2_a3() -> RtsPdu:
    """IN_R2/A3, server to client by the outbound proxy."""
    return RtsPdu(NONE, (Destination(CLIENT),))


def out_r1_a1() -> RtsPdu:
    """OUT_R1/A1, server to client by the outbound proxy: open a successor."""
    return RtsPdu(RECYCLE_CHANNEL, (Destination(CLIENT),))


def out_r1_a3(vc_cookie: bytes, predecessor: bytes, successor: bytes, receive_window: int) -> RtsPdu:
    """OUT_R1/A3, client to the successor's outbound proxy; ``receive_window`` is the client's."""
    cookies = _cookies(vc_cookie, predecessor, successor)
    return RtsPdu(RECYCLE_CHANNEL, (*cookies, ReceiveWindowSize(receive_window)))


def out_r1_a4(
    vc_cookie: bytes,
    predecessor: bytes,
    successor: bytes,
    channel_lifetime: int,
    receive_window: int,
    connection_timeout_ms: int,
) -> RtsPdu:
    """OUT_R1/A4, the successor's outbound proxy to server; window and timeout are that proxy's."""
    values = (
        ChannelLifetime(channel_lifetime),
        ReceiveWindowSize(receive_window),
        ConnectionTimeout(connection_timeout_ms),
    )
    return RtsPdu(RECYCLE_CHANNEL | OUT_CHANNEL, (*_cookies(vc_cookie, predecessor, successor), *values))


def out_r1_a5(connection_timeout_ms: int) -> RtsPdu:
    """OUT_R1/A5, server to client by the predecessor."""
    return RtsPdu(OUT_CHANNEL, (Destination(CLIENT), Version(), ConnectionTimeout(connection_timeout_ms)))


def out_r1_a7(successor: bytes) -> RtsPdu:
    """OUT_R1/A7, client to server by the inbound proxy."""
    return RtsPdu(OUT_CHANNEL, (Destination(SERVER), Cookie(successor)))


def out_r1_a9() -> RtsPdu:
    """OUT_R1/A9, server to the predecessor's outbound proxy, the last PDU there."""
    return RtsPdu(NONE, (ANCE(),))


def out_r2_a5() -> RtsPdu:
    """OUT_R2/A5, server to client by the outbound proxy."""
    return RtsPdu(NONE, (Destination(CLIENT), ANCE()))


def out_r2_a7(successor: bytes) -> RtsPdu:
    """OUT_R2/A7, client to server by the inbound proxy."""
    return RtsPdu(OUT_CHANNEL, (Destination(SERVER), Cookie(successor), Version()))


def out_r2_b2() -> RtsPdu:
    """OUT_R2/B2, server to outbound proxy: the successor is refused."""
    return RtsPdu(NONE, (NegativeANCE(),))


def out_r2_b3() -> RtsPdu:
    """OUT_R2/B3, outbound proxy to client, the last PDU on the predecessor."""
    return RtsPdu(EOF, (ANCE(),))


def out_r2_c1() -> RtsPdu:
    """OUT_R2/C1, client to outbound proxy, the last 24 bytes of the successor's request."""
    return RtsPdu(PING, (Empty(),))


in_r1_a4 = in_r1_a3
in_r1_a6 = in_r1_a5
in_r2_a1 = in_r1_a1
in_r2_a2 = in_r2_a5 = in_r1_a5
in_r2_a4 = in_r2_a3
out_r1_a2 = out_r2_a1 = out_r2_a2 = out_r1_a1
out_r2_a3 = out_r1_a3
out_r1_a6 = out_r1_a5
out_r1_a8 = out_r2_a8 = out_r1_a7
out_r1_a10 = out_r1_a11 = out_r2_b1 = out_r1_a9
out_r2_a4 = in_r1_a5
out_r2_a6 = out_r2_a5
