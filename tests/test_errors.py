"""What errors mean: which limits of a server, if any."""

import pytest

from loadgen.errors import (
    ConnectionLost,
    HttpRefused,
    MapiError,
    RpcFault,
    TimedOut,
    TransportError,
    Unauthorized,
    limits_of,
)
from loadgen.measure.limits import LIMITS

CUT = ("nonpaged_pool", "memory", "worker_recycling", "ports")


@pytest.mark.parametrize(
    ("error", "limits"),
    [
        (HttpRefused(503, "RPC Error: 6ba", 0x6BA), ("ports",)),
        (HttpRefused(503, "RPC Error: e", 0xE), ("memory",)),
        (HttpRefused(503, "RPC Error: 5", 0x5), ()),
        (HttpRefused(503, "L-202 Service Unavailable"), ("front_end_contexts",)),
        (HttpRefused(503, "Service Unavailable"), ("request_queue",)),
        (HttpRefused(500, "Internal Server Error"), ()),
        (Unauthorized("Unauthorized", ("basic",)), ()),
        (MapiError("NspiBind", 0x80040111), ("nspi_sessions",)),
        (MapiError("NspiQueryRows", 0x80040111), ()),
        (MapiError("EcDoConnectEx", 0x4DE), ("mapi_sessions", "context_handles")),
        (MapiError("EcDoConnectEx", 0x3F2), ()),
        (RpcFault(0x6B9), ("context_handles",)),
        (RpcFault(0x1C00001A), ()),
        (ConnectionLost("reset"), CUT),
        (TransportError("refused"), CUT),
        (TimedOut("60 s"), ()),
    ],
)
def test_an_error_means_these_limits(error, limits):
    assert limits_of(error) == limits
    assert set(limits) <= set(LIMITS)
