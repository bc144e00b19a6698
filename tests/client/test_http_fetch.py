"""Requests to a web server of the test's own, with and without credentials."""

import asyncio
import socket
from base64 import b64encode

import pytest
from aiohttp import web

from loadgen.client import http_fetch
from loadgen.client.account import Credentials
from loadgen.client.http_fetch import LARGEST_BODY, HttpFetch
from loadgen.errors import TimedOut, TlsFailed, TransportError, Unauthorized
from loadgen.wire.spnego import REJECT, NegTokenResp

ANN = Credentials("ann@example.test", "pass:word")
ADDRESS = "127.37.1.1"


@pytest.fixture
async def serve():
    """Starts a handler of POST and GET on any path; gives its base URL."""
    runners = []

    async def start(handler):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, ADDRESS, 0).start()
        runners.append(runner)
        return f"http://{ADDRESS}:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_basic_is_sent_at_once_where_it_is_wanted(serve):
    seen = []

    async def handler(request):
        seen.append((request.method, request.headers.get("Authorization"), await request.read()))
        return web.Response(text="yes")

    answer = await HttpFetch(ANN, auth=("basic",)).post(await serve(handler) + "/x", b"body")
    assert (answer.status, answer.body) == (200, b"yes")
    assert seen == [("POST", "Basic " + b64encode(b"ann@example.test:pass:word").decode(), b"body")]


async def test_what_the_server_offers_decides_and_only_the_last_leg_has_a_body(serve):
    legs = []

    async def handler(request):
        said = request.headers.get("Authorization", "")
        legs.append((said.partition(" ")[0], await request.read()))
        challenges = [("WWW-Authenticate", "NTLM"), ("WWW-Authenticate", 'Basic realm="r"')]
        if said.startswith("Basic"):
            return web.Response(text="in")
        return web.Response(status=401, headers=challenges)

    answer = await HttpFetch(ANN).post(await serve(handler), b"body")
    assert answer.body == b"in"
    assert legs[-1] == ("Basic", b"body")
    assert {body for scheme, body in legs if scheme != "Basic"} == {b""}


async def test_credentials_that_nobody_takes_come_back_as_they_went(serve):
    async def handler(request):
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="r"'})

    answer = await HttpFetch(ANN, auth=("basic",)).post(await serve(handler), b"")
    assert (answer.status, answer.challenges) == (401, ('Basic realm="r"',))


async def test_a_get_says_nothing_of_the_user_and_redirects_are_not_followed(serve):
    async def handler(request):
        assert "Authorization" not in request.headers
        raise web.HTTPFound("https://elsewhere.example/x")

    answer = await HttpFetch(ANN).get(await serve(handler))
    assert (answer.status, answer.location) == (302, "https://elsewhere.example/x")


async def test_an_answer_without_end_is_cut(serve):
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1 << 16))
        except ConnectionError:
            return response

    answer = await HttpFetch(ANN, auth=("basic",)).post(await serve(handler), b"")
    assert LARGEST_BODY < len(answer.body) < 2 * LARGEST_BODY


async def test_names_lead_to_the_addresses_given_for_them(serve):
    async def handler(request):
        return web.Response(text=request.host)

    port = (await serve(handler)).rpartition(":")[2]
    fetch = HttpFetch(ANN, auth=("basic",), addresses={"mail.example.test": (ADDRESS,)})
    answer = await fetch.post(f"http://Mail.Example.Test:{port}/", b"")
    assert answer.body == f"mail.example.test:{port}".encode()


async def test_what_does_not_work_is_told_in_words(serve, monkeypatch):
    fetch = HttpFetch(ANN, auth=("basic",))
    with socket.socket() as closed:
        closed.bind((ADDRESS, 0))
        port = closed.getsockname()[1]
        with pytest.raises(TransportError, match=r"^Connection refused$"):
            await fetch.post(f"http://{ADDRESS}:{port}/", b"")

    done = asyncio.Event()

    async def never(request):
        await done.wait()
        return web.Response()

    async def plain(request):
        return web.Response()

    with pytest.raises(TlsFailed, match=r"TLS: \[SSL"):
        await fetch.post((await serve(plain)).replace("http:", "https:"), b"")
    monkeypatch.setattr(http_fetch, "TIMEOUT_S", 0.05)
    with pytest.raises(TimedOut, match=r"no answer within 0\.05 s"):
        await fetch.post(await serve(never), b"")
    done.set()


async def test_a_refused_password_is_not_tried_by_another_scheme(serve):
    said = []

    async def handler(request):
        said.append(request.headers["Authorization"].partition(" ")[0])
        challenges = [("WWW-Authenticate", 'Basic realm="r"'), ("WWW-Authenticate", "NTLM")]
        return web.Response(status=401, headers=challenges)

    answer = await HttpFetch(ANN, auth=("basic", "ntlm")).post(await serve(handler), b"")
    assert (answer.status, said) == (401, ["Basic"])


def only_kerberos(*others):
    """A handler that ends SPNEGO with whoever begins it with NTLM ([RFC 4178] 4.2.2, reject)."""
    rejection = b64encode(NegTokenResp(REJECT).encode()).decode()

    async def handler(request):
        said = request.headers.get("Authorization", "").partition(" ")[0]
        if said in others:
            return web.Response(text="in")
        challenge = f"Negotiate {rejection}" if said == "Negotiate" else "Negotiate"
        return web.Response(
            status=401, headers=[("WWW-Authenticate", offer) for offer in (challenge, *others)]
        )

    return handler


async def test_a_server_that_knows_kerberos_or_basic(serve):
    answer = await HttpFetch(ANN).post(await serve(only_kerberos("Basic")), b"")
    assert answer.body == b"in"


async def test_a_server_that_knows_kerberos_alone(serve):
    with pytest.raises(Unauthorized, match="there is no Kerberos: "):
        await HttpFetch(ANN).post(await serve(only_kerberos()), b"")


async def test_a_tap_hears_each_exchange(serve):
    async def handler(request):
        return web.Response(text="yes", headers={"X-Seen": "1"})

    heard = []
    fetch = HttpFetch(ANN, auth=("basic",), tap=lambda tapped, what, data: heard.append((tapped, what, data)))
    url = await serve(handler)
    await fetch.post(f"{url}/x?y", b"body")
    assert [what for _, what, _ in heard] == ["opened", "sent", "received", "closed"]
    (tapped,) = {tapped for tapped, *_ in heard}
    assert (tapped.channel, tapped.remote, tapped.tls) == ("HTTP", (ADDRESS, int(url[-5:])), False)
    _, (_, _, sent), (_, _, received), _ = heard
    assert sent.startswith(b"POST /x?y HTTP/1.1\r\n")
    assert sent.endswith(b"Content-Length: 4\r\n\r\nbody")
    assert b"X-Seen: 1\r\n" in received
    assert received.endswith(b"Content-Length: 3\r\n\r\nyes")


async def test_where_a_name_leads_is_not_made_up_in_a_tap(serve):
    async def handler(request):
        return web.Response()

    heard = []
    fetch = HttpFetch(
        ANN,
        auth=("basic",),
        addresses={"mail.example.test": (ADDRESS,)},
        tap=lambda tapped, what, _: heard.append(tapped.remote),
    )
    port = (await serve(handler)).rpartition(":")[2]
    await fetch.post(f"http://mail.example.test:{port}", b"")
    assert heard[0] == ("0.0.0.0", int(port))
