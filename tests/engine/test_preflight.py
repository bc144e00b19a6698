"""What the first user who is refused is told."""

import pytest

from loadgen.check.result import STEPS
from loadgen.engine.preflight import explain, step_of
from loadgen.errors import (
    BindRefused,
    ConnectionLost,
    HttpRefused,
    MapiError,
    NameNotFound,
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
        (at("rts_store", TimedOut("mail:443: no TCP connection within 30 s")), "tcp"),
        (at("rts_store", NameNotFound("mail: Name or service not known")), "dns"),
        (at("map_store", NameNotFound("MBX1: Name or service not known")), "dns_store"),
        (at("map_store", TransportError("MBX1:135: Connection refused")), "mapper_store"),
        (at("map_store", TimedOut("MBX1:135: no TCP connection within 30 s")), "mapper_store"),
        (at("map_store", TimedOut("MBX1:135: no answer to bind")), "map_store"),
        (at("map_store", ConnectionLost("MBX1:135: closed")), "map_store"),
        (at("map_referral", BindRefused("the endpoint mapper has no port")), "map_referral"),
        (at("tcp_public_folders", NameNotFound("PF1: no address")), "dns_public_folders"),
        (at("tcp_public_folders", TransportError("PF1:6101: Connection refused")), "tcp_public_folders"),
        (at("tcp", NameNotFound("mail: Address family for hostname not supported")), "dns"),
        (at("bind_directory", ConnectionLost("closed")), "bind_directory"),
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
        (
            at("map_store", TransportError("MBX1:135: Connection refused")),
            "mapper, mailbox: MBX1:135: Connection refused. The machine answers, but has no endpoint mapper",
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
