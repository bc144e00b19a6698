"""Which step a failure is put down to, and what is still tried beside it."""

import asyncio
import socket

import pytest
from msgspec.structs import replace

from loadgen.check import checkup
from loadgen.check.checkup import check
from loadgen.check.result import steps_of
from loadgen.check.services import WrongServer
from loadgen.client.tls_settings import TlsSettings
from loadgen.client.transport import ConnectionOptions
from loadgen.errors import ProfileError, RpcFault
from loadgen.trace.tracer import Tracer
from loadgen.wire.http import rpc_error_head
from tests.check.scripted_server import ADDRESS, client_type, failures, first, saying, serving, subject, take
from tests.client.certificates import DAY, NOW, Authority, server_side

BASIC = ConnectionOptions(auth=("basic",))


def answer(status: str, *headers: str, body: str = "") -> bytes:
    lines = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close", "", body)
    return "\r\n".join(lines).encode()


def outcomes(result) -> dict[str, str]:
    return {step.name: step.outcome for step in result.steps}


async def test_a_name_without_address_ends_it():
    result = await check(subject(80, host="nobody.invalid"), Tracer())
    assert failures(result) == {"dns": "name_not_found"}
    assert [*outcomes(result)] == [*steps_of("http")]
    assert not result.passed


async def test_a_port_where_nobody_listens():
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        result = await check(subject(taken.getsockname()[1]), Tracer())
    assert failures(result) == {"tcp": "refused"}


async def test_addresses_that_do_not_answer_are_named_beside_those_that_do():
    async with serving(saying(answer("404 Not Found"))) as port:
        result = await check(subject(port, addresses=(ADDRESS, "127.43.0.9")), Tracer())
    (tcp,) = (step for step in result.steps if step.name == "tcp")
    assert (tcp.outcome, "NOT of 127.43.0.9: Connection refused" in tcp.detail) == ("passed", True)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        ("400 Bad Request", "path_not_understood"),
        ("403 Forbidden", "forbidden"),
        ("403 Client Certificate Required", "client_certificate_refused"),
        ("404 Not Found", "no_rpc_proxy"),
        ("405 Method Not Allowed", "method_not_allowed"),
        ("408 Request Timeout", "request_timeout"),
        ("413 Request Entity Too Large", "too_large"),
        ("500 Internal Server Error", "http_error"),
        ("502 Bad Gateway", "bad_gateway"),
        ("503 L-202 Service Unavailable", "front_end_full"),
        ("503 Service Unavailable", "request_queue_full"),
    ],
)
async def test_a_web_server_that_refuses_leaves_nothing_to_try(status, name):
    result = await take(saying(answer(status)), options=BASIC)
    assert failures(result) == {"http": name}
    assert outcomes(result)["rts_store"] == "skipped"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x6BA, "server_unavailable"),
        (0x6BB, "server_too_busy"),
        (0x5, "port_not_allowed"),
        (0xE, "out_of_memory"),
        (0x6C0, "rpc_error"),
    ],
)
async def test_a_proxy_that_refuses_has_let_the_user_through(code, name):
    result = await take(saying(rpc_error_head(code)), options=BASIC)
    assert outcomes(result)["http"] == "passed"
    assert set(failures(result).values()) == {name}
    assert [*failures(result)] == ["rts_referral", "rts_directory", "rts_store"]


async def test_schemes_are_told_and_an_account_is_not_locked():
    heads = []
    refusal = answer("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"', "WWW-Authenticate: NTLM")

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        writer.write(refusal)
        await writer.drain()
        writer.close()

    result = await take(serve, options=BASIC)
    assert result.seen.schemes_offered == ("Basic", "NTLM")
    assert failures(result) == {"http": "wrong_password"}
    assert sum(b"RPC_OUT_DATA" in head and b"Authorization" in head for head in heads) <= 1
    other = await take(serve, options=ConnectionOptions(auth=("negotiate",)))
    assert failures(other) == {"http": "scheme_not_offered"}


@pytest.mark.parametrize(
    ("client", "dialect", "why"),
    [
        ("outlook2007-online-anywhere", "unknown", "nothing says whether this server has any"),
        ("outlook2007-online-anywhere", "gromox", "dialect gromox has no store for them"),
        ("outlook2007-online-anywhere", "exchange2007", "the account has no public folder server"),
        ("loadgen-2007-online", "unknown", "loadgen-2007-online does not open them"),
    ],
)
async def test_why_public_folders_are_left_out(client, dialect, why):
    result = await take(saying(answer("404 Not Found")), client=client_type(client), dialect=dialect)
    assert [step.detail for step in result.steps if step.name == "public_folders"] == [why]


@pytest.mark.parametrize(("auth", "tried"), [(("anonymous",), False), (("basic",), True)])
async def test_whether_the_password_was_shown_to_anybody(auth, tried):
    result = await take(saying(rpc_error_head(0x6BA)), options=ConnectionOptions(auth=auth))
    assert result.password_tried == tried


@pytest.mark.parametrize(
    ("rpc_security", "outcome", "tried"),
    [("none", "passed", False), ("connect", "passed", True), ("connect", "failed", True)],
)
def test_over_tcp_only_a_bind_with_security_shows_it(rpc_security, outcome, tried):
    client, options = client_type("outlook2007-cached"), ConnectionOptions(rpc_security=rpc_security)
    taken = checkup._Checkup(subject(80, client=client, options=options), Tracer())
    assert not taken.result().password_tried
    if outcome == "passed":
        taken._journal.passed("bind_store", "", 0.1)
    else:
        taken._journal.failed("bind_store", RpcFault(5), 0.1)
    assert taken.result().password_tried == tried


async def test_a_server_that_closes_without_a_word_is_named_once_for_http():
    result = await take(saying(b""), options=BASIC)
    assert failures(result)["http"] == "closed_without_answer"
    assert first(result) == "closed_without_answer"


@pytest.mark.parametrize(
    ("certificate", "trusted", "name"),
    [
        ("other name", True, "tls_name_mismatch"),
        ("expired", True, "tls_expired"),
        ("right", False, "tls_unknown_authority"),
        ("none", True, "tls_protocol"),
    ],
)
async def test_what_is_wrong_with_tls_is_named(tmp_path, certificate, trusted, name):
    authority = Authority(tmp_path)
    file = {
        "other name": lambda: authority.issue("mail.example.test"),
        "expired": lambda: authority.issue(ADDRESS, begins=NOW - 2 * DAY, ends=NOW - DAY),
    }.get(certificate, lambda: authority.issue(ADDRESS))()
    (tmp_path / "other").mkdir()
    settings = TlsSettings(
        ca_file=authority.file if trusted else Authority(tmp_path / "other", "Another").file
    )
    tls = None if certificate == "none" else server_side(file)

    async def serve(reader, writer):
        writer.write(answer("400 Bad Request"))
        writer.close()

    async with serving(serve, tls) as port:
        result = await check(subject(port, tls=True, tls_settings=settings), Tracer())
    assert failures(result) == {"tls": name}
    assert outcomes(result)["http"] == "skipped"


async def test_a_certificate_is_described(tmp_path):
    authority = Authority(tmp_path)
    server = server_side(authority.issue(ADDRESS, "mail.example.test"))
    async with serving(saying(answer("404 Not Found")), server) as port:
        settings = TlsSettings(ca_file=authority.file)
        result = await check(subject(port, tls=True, tls_settings=settings, options=BASIC), Tracer())
    (tls,) = (step for step in result.steps if step.name == "tls")
    assert (tls.outcome, "mail.example.test, 127.43.0.1, valid until" in tls.detail) == ("passed", True)
    assert failures(result) == {"http": "no_rpc_proxy"}


async def test_autodiscover_that_goes_round_is_named():
    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            writer.write(answer("302 Found", "Location: /autodiscover/autodiscover.xml"))
            await writer.drain()
        else:
            await reader.read(-1)
        writer.close()

    result = await take(serve, options=BASIC, autodiscover="target", timeout_s=0.2)
    assert failures(result)["autodiscover"] == "redirect_loop"


async def test_an_unknown_dialect_is_the_users_mistake():
    with pytest.raises(ProfileError, match="exchange2099"):
        await take(saying(b""), dialect="exchange2099")


async def test_passwords_do_not_show():
    result = await take(saying(answer("404 Not Found")), options=BASIC)
    assert "Passw0rd!" not in repr(result) + repr(subject(1))
    await asyncio.sleep(0)
    assert replace(result, passed=True).user == "alice@example.test"


class Doors:
    """An opener behind whose every door is somebody who sends one on to the next server."""

    def __init__(self) -> None:
        self.opened = []

    async def open(self, service, server, interfaces):
        self.opened.append(server)
        return server

    async def open_quietly(self, service, server, interfaces):
        self.opened.append(server)
        return server


@pytest.mark.parametrize(
    ("sends", "opened"),
    [
        ({"MBX1": "MBX2", "MBX2": "MBX1"}, ["MBX1", "MBX2"]),
        ({f"MBX{number}": f"MBX{number + 1}" for number in range(1, 9)}, ["MBX1", "MBX2", "MBX3"]),
    ],
)
async def test_servers_that_send_one_round_are_named(monkeypatch, sends, opened):
    async def connect_store(connection, account, client):
        return connection, "8.1.240.6"

    async def log_on(store, account, server):
        raise WrongServer(server, sends[server])

    monkeypatch.setattr(checkup, "connect_store", connect_store)
    monkeypatch.setattr(checkup, "log_on", log_on)
    taken, doors = checkup._Checkup(subject(80), Tracer()), Doors()
    await taken._open_mailbox(doors, "MBX1")
    assert failures(taken.result()) == {"mailbox": "redirect_loop"}
    assert doors.opened == opened
