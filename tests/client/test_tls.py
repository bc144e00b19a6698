"""Virtual connections over TLS, to a scripted proxy with certificates of its own."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from hashlib import sha256, sha384
from pathlib import Path
from threading import Thread

import pytest
import uvloop

from loadgen.client.account import Credentials, RpcProxy
from loadgen.client.tls_settings import TlsSettings
from loadgen.client.transport import ConnectionOptions, open_virtual_connection
from loadgen.client.transport.tls import end_point, ssl_context
from loadgen.errors import ProfileError, TimedOut, TlsFailed

from .certificates import DAY, NOW, SHA384, Authority, server_side
from .scripted_proxy import INTERFACE, Proxy, Say

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
ADDRESS = "127.36.1.1"
CREDENTIALS = Credentials("alice", "secret")


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def serving(context: ssl.SSLContext | None) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, ADDRESS, 0, ssl=context)
    proxy.port = server.sockets[0].getsockname()[1]
    yield proxy
    for writer in proxy.writers.values():
        writer.transport.abort()
    server.close()
    await asyncio.gather(*proxy.tasks)


async def connect(proxy: Proxy, settings: TlsSettings, name: str = ADDRESS, probe=None, **options):
    where = RpcProxy(name, proxy.port, True, addresses=(ADDRESS,), tls_settings=settings)
    return await open_virtual_connection(
        where, "MBX1", 6001, [INTERFACE], CREDENTIALS, ConnectionOptions(**options), probe
    )


async def test_calls_over_tls(authority, no_complaints):
    layers = []
    async with serving(server_side(authority.issue(ADDRESS))) as proxy:
        settings = TlsSettings(ca_file=authority.file)
        connection = await connect(proxy, settings, probe=lambda *layer: layers.append(layer[0]))
        assert await connection.call(Say(bytes(5000))) == b"you said " + bytes(5000)
        await connection.close()
        assert {await proxy.ended.get(), await proxy.ended.get()} == {"IN", "OUT"}
    assert layers == ["connect_tcp", "connect_tls", "http_auth", "rts_establish", "rpc_bind"]
    assert proxy.heads["IN"].startswith(b"RPC_IN_DATA /rpc/rpcproxy.dll?")


@pytest.mark.parametrize(
    ("name", "said"), [("mail.contoso.test", ""), ("cas1", "mail.contoso.test"), ("cas1", "*.contoso.test")]
)
async def test_the_name_is_sent_and_checked(authority, name, said):
    asked = []
    context = server_side(authority.issue("*.contoso.test"))
    context.sni_callback = lambda _connection, sni, _context: asked.append(sni)
    wanted = said.replace("*", "any") or name
    async with serving(context) as proxy:
        settings = TlsSettings(ca_file=authority.file, server_name=wanted if said else "")
        connection = await connect(proxy, settings, name)
        assert f"Host: {name}:{proxy.port}\r\n".encode() in proxy.heads["IN"]
        connection.abort()
    assert asked == [wanted, wanted]


REFUSED = {
    "expired": (
        lambda authority: authority.issue(ADDRESS, begins=NOW - 3 * DAY, ends=NOW - DAY),
        f"the certificate of {ADDRESS} expired on {NOW - DAY:%Y-%m-%d %H:%M} UTC",
    ),
    "not yet valid": (
        lambda authority: authority.issue(ADDRESS, begins=NOW + DAY, ends=NOW + 2 * DAY),
        f"the certificate of {ADDRESS} is not valid before {NOW + DAY:%Y-%m-%d %H:%M} UTC",
    ),
    "another name": (
        lambda authority: authority.issue("mail.contoso.test", "127.0.0.9"),
        f"the certificate is for mail.contoso.test, 127.0.0.9, not for {ADDRESS}",
    ),
    "no name": (
        lambda authority: authority.issue(),
        f"the certificate is for no name at all, not for {ADDRESS}",
    ),
    "self-signed": (
        lambda authority: authority.self_signed(ADDRESS),
        f"the certificate of {ADDRESS} is self-signed; if it is the right one, give it as ca_file",
    ),
    "unknown authority": (
        lambda authority: Authority(authority.folder, "Somebody Else").issue(ADDRESS),
        f"the certificate of {ADDRESS} comes from an authority that is not trusted here (CN=Somebody Else); "
        "give its ca_file",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_certificates_that_do_not_hold(authority, name, no_complaints):
    make, text = REFUSED[name]
    trusted = authority.file
    if name == "unknown authority":
        trusted = authority._write("own.pem", authority.certificate)
    async with serving(server_side(make(authority))) as proxy:
        with pytest.raises(TlsFailed) as caught:
            await connect(proxy, TlsSettings(ca_file=trusted))
        assert str(caught.value) == f"{ADDRESS}:{proxy.port} (MBX1:6001): TLS: {text}"
        assert proxy.heads == {}  # nobody has been told the password
        connection = await connect(proxy, TlsSettings(ca_file=trusted, insecure=True))
        assert await connection.call(Say(b"hello")) == b"you said hello"
        connection.abort()


async def test_a_client_certificate(authority, no_complaints):
    server = authority.issue(ADDRESS)
    own = authority.issue("alice", file="alice.pem")
    async with serving(server_side(server, authority.file)) as proxy:
        settings = TlsSettings(ca_file=authority.file, client_certificate=own)
        connection = await connect(proxy, settings, auth=("anonymous",))
        assert proxy.heads["IN"].startswith(b"RPC_IN_DATA /rpcwithcert/rpcproxy.dll?MBX1:6001 ")
        assert b"Authorization" not in proxy.heads["OUT"]
        connection.abort()


@contextmanager
def refusing(context: ssl.SSLContext) -> Iterator[Proxy]:
    """A server in a thread, since asyncio's does not say what it refuses a handshake for."""

    def refuse() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                context.wrap_socket(connection, server_side=True).recv(1)

    with socket.create_server((ADDRESS, 0)) as listener:
        thread = Thread(target=refuse)
        thread.start()
        proxy = Proxy()
        proxy.port = listener.getsockname()[1]
        yield proxy
        thread.join()


@pytest.mark.parametrize("maximum", ["1.2", "1.3"])
async def test_a_client_certificate_that_is_missing(authority, maximum):
    """With TLS 1.3 the server says so after the handshake."""
    context = server_side(authority.issue(ADDRESS), authority.file)
    with refusing(context) as proxy, pytest.raises(TlsFailed, match="wants a client certificate"):
        await connect(proxy, TlsSettings(ca_file=authority.file, maximum=maximum))


async def test_no_version_in_common(authority):
    context = server_side(authority.issue(ADDRESS))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with refusing(context) as proxy, pytest.raises(TlsFailed, match="none of the allowed versions of TLS"):
        await connect(proxy, TlsSettings(ca_file=authority.file, minimum="1.3"))


async def test_old_versions_if_wanted(authority):
    context = server_side(authority.issue(ADDRESS))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    async with serving(context) as proxy:
        connection = await connect(proxy, TlsSettings(ca_file=authority.file, minimum="1.0"))
        (link, _) = connection._links
        assert link.transport.get_extra_info("ssl_object").version() == "TLSv1"
        connection.abort()


ANSWERS = {
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the server does not speak TLS on this port"),
    "nothing": (b"", "the server closed the connection during the handshake"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_that_are_no_handshake(authority, name):
    answer, text = ANSWERS[name]

    async def serve(reader, writer):
        await reader.read(100)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, ADDRESS, 0)
    proxy = Proxy()
    proxy.port = server.sockets[0].getsockname()[1]
    with pytest.raises(TlsFailed, match=text):
        await connect(proxy, TlsSettings(ca_file=authority.file))
    server.close()


async def test_a_handshake_has_a_time_limit(authority):
    held = []

    async def serve(reader, writer):
        held.append(writer)

    server = await asyncio.start_server(serve, ADDRESS, 0)
    proxy = Proxy()
    proxy.port = server.sockets[0].getsockname()[1]
    with pytest.raises(TimedOut, match=r"no TLS handshake within 0.05 s"):
        await connect(proxy, TlsSettings(ca_file=authority.file), connect_timeout_s=0.05)
    for writer in held:
        writer.close()
    server.close()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"ca_file": "none.pem"}, "ca_file: {folder}/none.pem: No such file or directory"),
        ({"ca_file": "text"}, "ca_file: {folder}/text: no certificate and key in PEM form"),
        ({"client_certificate": "none.pem"}, "client_certificate: {folder}/none.pem: No such file"),
        ({"client_certificate": "ca.pem"}, "client_certificate: {folder}/ca.pem: no certificate and key"),
        ({"client_key": "ca.pem"}, "client_key: there is no client_certificate"),
        ({"minimum": "1.3", "maximum": "1.2"}, "tls_minimum: 1.3 is beyond the maximum, 1.2"),
    ],
)
def test_settings_that_cannot_be_used(authority, settings, text):
    folder = authority.folder
    (folder / "text").write_text("no certificate", encoding="ascii")
    files = {key: f"{folder}/{value}" for key, value in settings.items() if key[0] == "c"}
    with pytest.raises(ProfileError) as caught:
        ssl_context(TlsSettings(**settings | files))
    assert str(caught.value).startswith(text.format(folder=folder))


def test_one_context_for_all(authority):
    assert ssl_context(TlsSettings(ca_file=authority.file)) is ssl_context(
        TlsSettings(ca_file=authority.file)
    )


@pytest.mark.parametrize(("algorithm", "digest"), [(None, sha256), (SHA384(), sha384)])
def test_the_channel_binding_goes_by_the_certificate(authority, algorithm, digest):
    """[RFC 5929] 4.1: the hash function of its signature, but no weaker one than SHA-256."""
    file = authority.issue(ADDRESS, algorithm=algorithm)
    pem = Path(file).read_text(encoding="ascii")
    der = ssl.PEM_cert_to_DER_cert(pem.partition("-----BEGIN PRIVATE")[0])
    assert end_point(der) == b"tls-server-end-point:" + digest(der).digest()


def test_a_certificate_that_cannot_be_read_has_a_binding_still():
    assert end_point(b"?") == b"tls-server-end-point:" + sha256(b"?").digest()
