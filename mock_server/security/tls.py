"""TLS on the port of a client access server."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

from msgspec.structs import replace

from loadgen.errors import ProfileError
from mock_server.directory import Directory
from mock_server.security.certificate import make_certificate
from mock_server.topology import HttpSettings, Topology

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_MAIL_ADDRESS: Final = "email"


@contextmanager
def with_certificate(topology: Topology) -> Iterator[Topology]:
    """``topology`` with a certificate of its own if it wants TLS and has none; the files end with the block.

    Raises :class:`ProfileError` if the files that it has are of no use.
    """
    if not topology.http.tls or topology.http.certificate:
        server_context(topology.http)
        yield topology
        return
    domain = topology.organisation.domain
    servers = (*topology.client_access, *topology.reverse_proxy)
    names = [name for server in servers for name in (f"{server.name}.{domain}".lower(), server.name.lower())]
    with TemporaryDirectory(prefix="mock-organisation-") as folder:
        certificate, key = make_certificate(
            Path(folder), (*names, "localhost"), [server.address for server in servers]
        )
        http = replace(topology.http, certificate=str(certificate), key=str(key))
        yield replace(topology, http=http)


def server_context(http: HttpSettings) -> ssl.SSLContext | None:
    """What a client access server listens with, None without TLS; raises :class:`ProfileError`."""
    if not http.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[http.tls_minimum]
    context.maximum_version = _VERSIONS[http.tls_maximum]
    try:
        context.load_cert_chain(http.certificate, http.key or None)
        if http.client_ca:
            context.load_verify_locations(http.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except OSError as error:
        raise ProfileError(f"http.certificate, http.key, http.client_ca: {error}") from None
    if http.tls_key_log:
        context.keylog_filename = http.tls_key_log
    return context


def certified_user(connection: ssl.SSLObject | None, directory: Directory) -> str | None:
    """The alias of the user whose mail address a client's certificate holds; None if it holds nobody's."""
    certificate = connection.getpeercert() if connection is not None else None
    names = cast("tuple[tuple[str, str], ...]", (certificate or {}).get("subjectAltName", ()))
    for kind, value in names:
        user = directory.by_smtp(value) if kind == _MAIL_ADDRESS else None
        if user is not None:
            return user.alias
    return None
