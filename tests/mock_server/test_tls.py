"""TLS in front of client access servers, with real handshakes on loopback sockets."""

import asyncio
import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from loadgen.errors import ProfileError
from loadgen.wire.http import basic_authorization
from mock_server.roles.cas import ClientAccessRole
from mock_server.security.tls import server_context, with_certificate
from mock_server.topology_file import read_topology

BASE, ADDRESS = "127.35.40.0", "127.35.40.1"
AUTHORIZATION = basic_authorization("user00001", "Passw0rd!")
ECHO = bytes.fromhex("0500140310000000140000000000000040000000")


def organisation(**http):
    changes = {"http.tls": True} | {f"http.{key}": str(value) for key, value in http.items()}
    return read_topology("default", base_address=BASE, changes=changes)


def client_certificate(folder, address):
    """A self-signed certificate for a mail address, and its key, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=False)
        .sign(key, SHA256())
    )
    file = folder / "client.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    return file


async def listening(topology):
    await ClientAccessRole(topology, topology.client_access[0], topology.directory()).start()


async def ask(context, head, name="cas1.contoso.test"):
    """What the server answers until it has no more to say, and the version of TLS."""
    reader, writer = await asyncio.open_connection(ADDRESS, 18080, ssl=context, server_hostname=name)
    version = writer.get_extra_info("ssl_object").version()
    writer.write(f"{head}\r\nHost: mail\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer, version


def echo(path="rpc", *more):
    lines = (f"RPC_IN_DATA /{path}/rpcproxy.dll?MBX1:6001 HTTP/1.1", "Content-Length: 0", *more)
    return "\r\n".join(lines)


@pytest.mark.parametrize("name", ["cas1.contoso.test", "CAS1", "localhost", ADDRESS])
async def test_a_certificate_made_at_start_holds(servers_closed, name):
    with with_certificate(organisation()) as topology:
        await listening(topology)
        context = ssl.create_default_context(cafile=topology.http.certificate)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        answer, version = await ask(context, echo("rpc", f"Authorization: {AUTHORIZATION}"), name)
        assert answer.endswith(ECHO)
        assert version == "TLSv1.3"
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(context, echo(), "elsewhere.test")


@pytest.mark.parametrize(
    ("limits", "version"), [({"tls_maximum": "1.2"}, "TLSv1.2"), ({"tls_minimum": "1.3"}, "TLSv1.3")]
)
async def test_versions(servers_closed, limits, version):
    with with_certificate(organisation(**limits)) as topology:
        await listening(topology)
        context = ssl.create_default_context(cafile=topology.http.certificate)
        assert (await ask(context, echo()))[1] == version
        refused = ssl.TLSVersion.TLSv1_2 if version == "TLSv1.3" else ssl.TLSVersion.TLSv1_3
        context.minimum_version = context.maximum_version = refused
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await ask(context, echo())


@pytest.mark.parametrize(
    ("address", "path", "status"),
    [
        ("user00003@contoso.test", "rpcwithcert", "200 Success"),
        ("nobody@contoso.test", "rpcwithcert", "403 Forbidden"),
        (None, "rpcwithcert", "403 Forbidden"),
        ("user00003@contoso.test", "rpc", "401 Unauthorized"),
    ],
)
async def test_client_certificates(servers_closed, tmp_path, address, path, status):
    file = client_certificate(tmp_path, address or "user00003@contoso.test")
    with with_certificate(organisation(client_ca=file)) as topology:
        await listening(topology)
        context = ssl.create_default_context(cafile=topology.http.certificate)
        if address is not None:
            context.load_cert_chain(file)
        answer, _ = await ask(context, echo(path))
        assert answer.startswith(f"HTTP/1.1 {status}".encode())


async def test_the_path_with_certificate_is_like_others_if_nobody_asks_for_one(servers_closed):
    with with_certificate(organisation()) as topology:
        await listening(topology)
        context = ssl.create_default_context(cafile=topology.http.certificate)
        answer, _ = await ask(context, echo("rpcwithcert", f"Authorization: {AUTHORIZATION}"))
        assert answer.endswith(ECHO)


async def test_keys_are_written_down_for_those_who_record(servers_closed, tmp_path):
    with with_certificate(organisation(tls_key_log=tmp_path / "keys")) as topology:
        await listening(topology)
        await ask(ssl.create_default_context(cafile=topology.http.certificate), echo())
    assert "CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keys").read_text()


def test_what_is_given_is_taken(tmp_path):
    file = client_certificate(tmp_path, "server@contoso.test")
    given = organisation(certificate=file)
    with with_certificate(given) as topology:
        assert topology is given
        assert server_context(topology.http) is not None
    for wrong in ({"certificate": tmp_path / "none"}, {"certificate": file, "client_ca": tmp_path / "none"}):
        with pytest.raises(ProfileError, match=r"http\.certificate"), with_certificate(organisation(**wrong)):
            pass


def test_without_tls_there_is_nothing():
    plain = organisation()
    plain = replace(plain, http=replace(plain.http, tls=False))
    with with_certificate(plain) as topology:
        assert topology is plain
        assert server_context(topology.http) is None
