"""What the first user who is refused is told."""

import pytest

from loadgen.check.result import STEPS
from loadgen.engine.preflight import explain, step_of
from loadgen.errors import (
    BindRefused,
    ConnectionLost,
    HttpRefused,
    MapiError,
    RpcFault,
    TimedOut,
    TlsFailed,
    TransportError,
    Unauthorized,
    WrongAnswer,
)
from loadgen.workload.campaign import Campaign


def at(step, error):
    error.step = step
    return error


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (at("rts_store", TransportError("Connection refused")), "tcp"),
        (at("rts_referral", TlsFailed("TLS: expired")), "tls"),
        (at("rts_directory", Unauthorized("Unauthorized", ("NTLM",))), "http"),
        (at("rts_store", HttpRefused(404, "Not Found")), "http"),
        (at("rts_store", HttpRefused(503, "RPC Error", 0x6BA)), "rts_store"),
        (at("rts_store", ConnectionLost("closed")), "rts_store"),
        (at("rts_store", TimedOut("no answer")), "rts_store"),
        (at("bind_public_folders", BindRefused("no")), "bind_public_folders"),
        (at("mailbox", MapiError("RopLogon", 0x80070005)), "mailbox"),
        (at("autodiscover", TransportError("all failed")), "autodiscover"),
        (RpcFault(5), ""),
    ],
)
def test_the_step(error, step):
    assert step_of(error) == step
    assert (explain(error, Campaign()).split(": ")[0] == STEPS.get(step)) == bool(step)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            at("rts_referral", TransportError("mail:443: Connection refused")),
            "TCP: mail:443: Connection refused. The machine answers, but nothing listens on this port. Check",
        ),
        (WrongAnswer("odd"), "odd. "),
        (at("end", TransportError()), "TransportError. "),
    ],
)
def test_meaning_and_remedy_follow(error, told):
    text = explain(error, Campaign())
    assert text.startswith(told)
    assert text.endswith(".")
    assert "\n" not in text
