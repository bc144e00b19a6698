"""The generator's clients and the mock with TLS, all schemes of HTTP authentication and RPC security."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from loadgen.client.client_type import ClientType
from loadgen.client.message import OutgoingMessage
from loadgen.client.transport import ConnectionOptions, open_virtual_connection
from loadgen.errors import BindRefused, RpcFault, TlsFailed, Unauthorized
from loadgen.protocol.http_authentication import STRONGEST_FIRST
from loadgen.wire import mgmt
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.end_to_end.person import CLIENT_TYPES, Person

USERS = 8
EXPIRED = 7
STORE = 6001
ONLINE = CLIENT_TYPES["outlook2007-online-anywhere"]
_SEALED = {"auth": ("ntlm",), "rpc_security": "privacy"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Iterator[MockOrganisation]:
    """Without TLS, and one password has expired."""
    folder = tmp_path_factory.mktemp("plain")
    with running_mock(folder, "--set", f"security.expired=[{EXPIRED}]", users=USERS) as started:
        yield started


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Iterator[MockOrganisation]:
    """TLS alone; calls have to be signed at least."""
    settings = ("--set", "http.tls=true", "--set", "security.rpc_minimum=integrity")
    with running_mock(tmp_path_factory.mktemp("tls"), *settings, users=USERS) as started:
        yield started


@pytest.fixture(scope="module")
def basic_alone(tmp_path_factory) -> Iterator[MockOrganisation]:
    with running_mock(
        tmp_path_factory.mktemp("basic"), "--set", 'security.http=["basic"]', users=USERS
    ) as started:
        yield started


@pytest.fixture(scope="module")
def short_lived(tmp_path_factory) -> Iterator[MockOrganisation]:
    """TLS, and OUT channels that last for some dozen answers."""
    settings = ("--set", "http.tls=true", "--set", "http.channel_lifetime=10240")
    with running_mock(tmp_path_factory.mktemp("short"), *settings, users=USERS) as started:
        yield started


@asynccontextmanager
async def connected(mock, index=0, password=None, **options):
    """To the store, but for remote management alone, which every server offers."""
    credentials = mock.account(index).credentials
    if password is not None:
        credentials = replace(credentials, password=password)
    server = mock.account(index).home_server
    connection = await open_virtual_connection(
        mock.proxy, server, STORE, [mgmt.INTERFACE], credentials, ConnectionOptions(**options)
    )
    yield connection
    await connection.close()


async def is_listening(connection) -> bool:
    answer = await connection.call(mgmt.IsServerListeningRequest())
    return bool(answer.listening)


LEVELS = ["none", "connect", "integrity", "privacy"]


@pytest.mark.parametrize("auth", ["basic", "ntlm", "negotiate"])
@pytest.mark.parametrize(
    ("level", "mechanism"), [("none", "ntlm"), *itertools.product(LEVELS[1:], ["ntlm", "negotiate"])]
)
@pytest.mark.parametrize("verification", [False, True])
async def test_every_combination(plain, auth, level, mechanism, verification):
    options = {"rpc_security": level, "rpc_mechanism": mechanism, "verification": verification}
    async with connected(plain, auth=(auth,), **options) as connection:
        for _ in range(3):
            assert await is_listening(connection)


@pytest.mark.parametrize("mechanism", ["ntlm", "negotiate"])
@pytest.mark.parametrize("auth", ["basic", "ntlm", "negotiate"])
async def test_over_tls(tls, auth, mechanism):
    options = {"rpc_security": "privacy", "rpc_mechanism": mechanism}
    async with connected(tls, auth=(auth,), **options) as connection:
        assert await is_listening(connection)


@pytest.mark.parametrize("kind", ["outlook2007-online-anywhere", "outlook2007-cached-anywhere"])
@pytest.mark.parametrize("level", ["integrity", "privacy"])
async def test_a_users_work(tls, kind, level):
    """Large messages, so calls in fragments; notifications, so calls that wait."""
    client_type: ClientType = CLIENT_TYPES[kind]
    options = ConnectionOptions(auth=("ntlm",), rpc_security=level)
    people = [Person(tls, index, client_type, options=options) for index in range(5)]
    for person in people:
        await person.client.log_on()
        await person.client.end_startup()
    sender, *receivers = people
    message = OutgoingMessage("big", tuple(person.account for person in receivers), 50_000)
    await sender.client.resolve_names(message.recipients)
    await sender.client.send_message(message)
    for person in receivers:
        (news,) = await person.news()
        await person.client.read_message(news.message_id, "big")
        await person.client.delete_message(news.message_id)
    for person in people:
        await person.client.browse_address_book()
        await person.client.log_off()
        assert person.lost == []


def recycled(mock: MockOrganisation) -> list[float]:
    """How many IN and OUT channels the client access server has seen replaced."""
    counters = mock.counters()["roles"]["CAS1"]
    return [
        sum(counters[f"Mock\\Recycled Channels {channel}_{form}"] for form in ("R1", "R2"))
        for channel in ("IN", "OUT")
    ]


@pytest.mark.parametrize("auth", ["ntlm", "negotiate"])
async def test_successors_of_channels_authenticate_anew(short_lived, auth):
    """Both channels are replaced under way; the signatures of calls go on."""
    before = recycled(short_lived)
    options = {"rpc_security": "privacy", "channel_lifetime": 16384, "recycle_margin": 2048}
    async with connected(short_lived, auth=(auth,), **options) as connection:
        for _ in range(800):
            assert await is_listening(connection)
    (in_before, out_before), (in_after, out_after) = before, recycled(short_lived)
    assert in_after - in_before >= 2
    assert out_after - out_before >= 2


@pytest.mark.parametrize("auth", ["basic", "ntlm", "negotiate"])
async def test_a_wrong_password(plain, auth):
    with pytest.raises(Unauthorized, match="the credentials are refused; offered: ") as caught:
        async with connected(plain, password="wrong", auth=(auth, "basic")):
            pass
    assert caught.value.refused


async def test_a_password_that_has_expired(plain):
    with pytest.raises(Unauthorized, match="the credentials are refused"):
        async with connected(plain, EXPIRED, auth=("ntlm",)):
            pass


@pytest.mark.parametrize("auth", [STRONGEST_FIRST, ("ntlm", "basic"), ("negotiate", "basic")])
async def test_what_a_server_offers(basic_alone, auth):
    """The first connection finds out, the next ones know."""
    for _ in range(2):
        async with connected(basic_alone, auth=auth) as connection:
            assert await is_listening(connection)


async def test_nothing_that_a_server_offers(basic_alone):
    with pytest.raises(Unauthorized, match="offered: Basic"):
        async with connected(basic_alone, auth=("ntlm",)):
            pass


async def test_a_level_that_is_too_low(tls):
    person = Person(tls, 0, ONLINE, options=ConnectionOptions(rpc_security="connect"))
    with pytest.raises((RpcFault, BindRefused)):
        await person.client.log_on()
    person.client.abort()


def test_the_campaign(tmp_path):
    """That of `secure` with few users, whom a busy machine may make late."""
    out = tmp_path / "results"
    few = (
        "--group",
        "5:outlook2007-cached-anywhere:light",
        "--group",
        "3:outlook2003-online-anywhere:medium",
    )
    quick = (
        "--ramp",
        "2s",
        "--startup-hold",
        "3s",
        "--duration",
        "5s",
        "--hold",
        "0s",
        "--invalid-lag",
        "10s",
    )
    command = (sys.executable, "-m", "loadgen", "run", "secure", *few, *quick, "--out", str(out))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (summary,) = (json.loads(path.read_text()) for path in out.glob("*/summary.json"))
    assert (summary["verdict"], set(summary["failures"].values())) == ("PASS", {0})
    for moment in ("peak", "steady"):
        for column, counted in summary["connections"][moment].items():
            seen = {count for count in counted.values() if count is not None}
            assert len(seen) == 1, (moment, column, counted)


async def test_a_certificate_of_nobody(tls):
    proxy = replace(tls.proxy, tls_settings=replace(tls.proxy.tls_settings, ca_file=""))
    person = Person(tls, 0, ONLINE, proxy=proxy, options=ConnectionOptions(**_SEALED))
    with pytest.raises(TlsFailed, match=r"self-signed|not trusted"):
        await person.client.log_on()
