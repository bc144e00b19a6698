"""What errors say, and what they mean: which limits of a server, if any."""

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
    named,
)
from loadgen.measure.limits import LIMITS
from mock_server.rops import call
from mock_server.rpc import dispatch

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


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RpcFault(0x5), "RPC fault 0x00000005 ERROR_ACCESS_DENIED"),
        (RpcFault(0x6F7), "RPC fault 0x000006F7 RPC_X_BAD_STUB_DATA"),
        (RpcFault(0x1C010003), "RPC fault 0x1C010003 nca_s_unk_if"),
        (RpcFault(0x12345678), "RPC fault 0x12345678"),
        (MapiError("EcDoConnectEx", 0x3EB), "EcDoConnectEx returned 0x000003EB ecUnknownUser"),
        (MapiError("NspiBind", 0x80040111), "NspiBind returned 0x80040111 MAPI_E_LOGON_FAILED"),
        (MapiError("NspiBind", 0xDEADBEEF), "NspiBind returned 0xDEADBEEF"),
    ],
)
def test_an_error_code_is_told_with_its_name(error, text):
    assert str(error) == text


@pytest.mark.parametrize("module", [call, dispatch])
def test_every_code_that_the_mock_answers_has_a_name(module):
    codes = {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, int)}
    assert codes
    assert [name for name, code in codes.items() if " " not in named(code)] == []
