"""TLS under a connection: one context for all connections of a process, and why a handshake failed.

Each connection makes a full handshake: sessions are not resumed, which asyncio has no way to do.
"""

import asyncio
import socket
import ssl
import warnings
from collections.abc import Callable
from datetime import datetime
from functools import cache, lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, Hash
from msgspec import Struct

from loadgen.client.account import RpcProxy
from loadgen.client.tls_settings import TlsSettings
from loadgen.client.transport.sockets import connect
from loadgen.errors import PeerError, ProfileError, TimedOut, TlsFailed

SHUTDOWN_TIMEOUT_S: Final = 2.0
"""How long a closing connection waits for the server to say that it closes, too."""

_VERSIONS: Final = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_OLD_CIPHERS: Final = "DEFAULT:@SECLEVEL=0"  # what versions before 1.2 need
# X509_V_ERR_* of OpenSSL.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = 18
_UNKNOWN_ISSUER: Final = frozenset((2, 19, 20, 21))
_OTHER_NAME: Final = frozenset((62, 64))
_REASONS: Final = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port",
    "HTTP_REQUEST": "the server does not speak TLS on this port",
    "UNSUPPORTED_PROTOCOL": "the server wants a version of TLS that is older than tls_minimum",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server speaks none of the allowed versions of TLS",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a client certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server has no cipher in common or wants a client certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not trust the client certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the server refuses the client certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the client certificate has expired",
    "TLSV1_UNRECOGNIZED_NAME": "the server does not know the name that it is asked for",
}


@cache
def ssl_context(settings: TlsSettings) -> ssl.SSLContext:
    """The one context of this process for these settings; raises :class:`ProfileError` for unusable files."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise ProfileError(f"ca_file: {settings.ca_file}: {_why_unusable(error)}") from None
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _set_versions(context, settings)
    _load_own(context, settings)
    return context


def _set_versions(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.maximum < settings.minimum:
        raise ProfileError(f"tls_minimum: {settings.minimum} is beyond the maximum, {settings.maximum}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are for old servers
        context.minimum_version = _VERSIONS[settings.minimum]
        context.maximum_version = _VERSIONS[settings.maximum]
    if settings.minimum < "1.2":
        context.set_ciphers(_OLD_CIPHERS)


def _load_own(context: ssl.SSLContext, settings: TlsSettings) -> None:
    """What we show if asked."""
    own, key = settings.client_certificate, settings.client_key
    if own:
        try:
            context.load_cert_chain(own, key or None, password=_no_password)
        except OSError as error:
            raise ProfileError(f"client_certificate: {own}: {_why_unusable(error)}") from None
    elif key:
        raise ProfileError("client_key: there is no client_certificate that it belongs to")


def _no_password() -> str:
    """Else OpenSSL would ask at the terminal."""
    return ""


def _why_unusable(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "no certificate and key in PEM form that fit and need no password"
    return error.strerror or str(error)


def server_name(proxy: RpcProxy) -> str:
    """The name that the server's certificate has to be for."""
    return proxy.tls_settings.server_name or proxy.host


async def start_tls(
    proxy: RpcProxy, protocol: Callable[[], asyncio.Protocol], sock: socket.socket, timeout_s: float
) -> asyncio.Transport:
    """Speak TLS on a connected socket; raises :class:`TlsFailed` or :class:`TimedOut`."""
    try:
        return await _shake_hands(proxy, ssl_context(proxy.tls_settings), protocol, sock, timeout_s)
    except ssl.SSLCertVerificationError as error:
        certificate = _load(await _shown_certificate(proxy, timeout_s))
        raise TlsFailed(_verification_reason(error, server_name(proxy), certificate)) from None
    except ssl.SSLError as error:
        raise tls_failure(error) from None
    except ConnectionAbortedError:
        raise TimedOut(f"no TLS handshake within {timeout_s:g} s") from None
    except OSError:
        raise TlsFailed("TLS: the server closed the connection during the handshake") from None


async def _shake_hands(
    proxy: RpcProxy,
    context: ssl.SSLContext,
    protocol: Callable[[], asyncio.Protocol],
    sock: socket.socket,
    timeout_s: float,
) -> asyncio.Transport:
    transport, _ = await asyncio.get_running_loop().create_connection(
        protocol,
        sock=sock,
        ssl=context,
        server_hostname=server_name(proxy),
        ssl_handshake_timeout=timeout_s,
        ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )
    return transport


async def _shown_certificate(proxy: RpcProxy, timeout_s: float) -> bytes:
    """The DER of what a proxy shows to who does not look closely, b"" if nothing.

    The one that failed is not to be had from asyncio, so it is asked for once more.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        (sock,) = await connect(proxy, 1, "once more", timeout_s)
        transport = await _shake_hands(proxy, context, asyncio.Protocol, sock, timeout_s)
    except (OSError, PeerError):
        return b""
    certificate: bytes | None = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    transport.abort()
    return certificate or b""


def tls_failure(error: ssl.SSLError) -> TlsFailed:
    """What OpenSSL means, but for what it finds in a certificate."""
    return TlsFailed(f"TLS: {_REASONS.get(error.reason, error.reason or str(error))}")


def _verification_reason(
    error: ssl.SSLCertVerificationError, name: str, certificate: x509.Certificate | None
) -> str:
    if certificate is None:
        return f"TLS: the certificate for {name} is not valid: {error.verify_message}"
    code = error.verify_code
    if code in _OTHER_NAME:
        return f"TLS: the certificate is for {_names(certificate)}, not for {name}"
    if code == _EXPIRED:
        what = f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    elif code == _NOT_YET_VALID:
        what = f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    elif code == _SELF_SIGNED:
        what = "is self-signed; if it is the right one, give it as ca_file"
    elif code in _UNKNOWN_ISSUER:
        issuer = certificate.issuer.rfc4514_string() or "without a name"
        what = f"comes from an authority that is not trusted here ({issuer}); give its ca_file"
    else:
        what = f"is not valid: {error.verify_message}"
    return f"TLS: the certificate of {name} {what}"


def _names(certificate: x509.Certificate) -> str:
    """What a certificate says that it is for; without alternative names nothing counts ([RFC 9525])."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return "no name at all"
    names = [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]
    return ", ".join(names) or "no name at all"


def _load(der: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


@lru_cache(maxsize=64)
def end_point(der: bytes) -> bytes:
    """The tls-server-end-point channel binding of a server's certificate ([RFC 5929] 4.1)."""
    try:
        algorithm = x509.load_der_x509_certificate(der).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        algorithm = None
    if algorithm is None or isinstance(algorithm, MD5 | SHA1):
        algorithm = SHA256()
    digest = Hash(algorithm)
    digest.update(der)
    return b"tls-server-end-point:" + digest.finalize()


class TlsSeen(Struct, frozen=True):
    """What a server agreed to and showed; ``names`` and ``ends`` are those of its certificate."""

    version: str
    cipher: str
    names: str
    ends: datetime | None


async def look_at_tls(proxy: RpcProxy, timeout_s: float) -> TlsSeen:
    """A handshake for its own sake; raises :class:`~loadgen.errors.PeerError`."""
    (sock,) = await connect(proxy, 1, f"{proxy.host}:{proxy.port}", timeout_s)
    with sock:
        transport = await start_tls(proxy, asyncio.Protocol, sock, timeout_s)
        tls = transport.get_extra_info("ssl_object")
        certificate = _load(tls.getpeercert(binary_form=True) or b"")
        version, cipher = tls.version() or "", (tls.cipher() or ("",))[0]
        transport.abort()
    if certificate is None:
        return TlsSeen(version, cipher, "no name at all", None)
    return TlsSeen(version, cipher, _names(certificate), certificate.not_valid_after_utc)
