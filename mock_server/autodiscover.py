"""Autodiscover at a client access server: what it says of a mailbox in plain XML ([MS-OXDSCLI] 3.2.5)."""

from typing import Final
from xml.sax.saxutils import escape

from loadgen.errors import WireError
from loadgen.wire.autodiscover import AutodiscoverRequest
from mock_server.directory import Directory, Entry
from mock_server.topology import Topology

PATH: Final = "/autodiscover/autodiscover.xml"

_ANSWER: Final = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_SETTINGS: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_INVALID_REQUEST: Final = (600, "Invalid Request")
_NO_SUCH_MAILBOX: Final = (500, "The email address can't be found.")


class Autodiscover:
    """The service; it knows all mailboxes of the organisation."""

    def __init__(self, topology: Topology, directory: Directory) -> None:
        self._directory = directory
        self._tls = topology.http.tls
        self._auth_package = topology.security.http[0]
        self._public_folders = bool(topology.public_folders)
        self._version = _version_text(topology.store.version)
        self._offers_mapi_http = topology.manners.one_process

    def answer(self, body: bytes, host: str) -> bytes:
        """The answer to a request that came to ``host``, as its Host header names it."""
        try:
            address = AutodiscoverRequest.decode(body).address
        except WireError:
            return _refusal(*_INVALID_REQUEST)
        entry = self._directory.by_smtp(address)
        return _refusal(*_NO_SUCH_MAILBOX) if entry is None else self._settings(entry, host)

    def _settings(self, entry: Entry, host: str) -> bytes:
        server = self._directory.home_server(entry)
        name = host.rpartition(":")[0] or host
        exch = _element(
            "Protocol",
            Type="EXCH",
            Server=server.fqdn,
            ServerDN=server.dn,
            ServerVersion=self._version,
            MdbDN=server.private_store_dn,
            AuthPackage="Ntlm",
            **({"PublicFolderServer": entry.public_server} if self._public_folders else {}),
        )
        expr = _element(
            "Protocol",
            Type="EXPR",
            Server=name,
            SSL="On" if self._tls else "Off",
            AuthPackage=self._auth_package,
            CertPrincipalName=f"msstd:{name}" if self._tls else "none",
        )
        user = _element(
            "User",
            DisplayName=entry.display_name,
            LegacyDN=entry.dn,
            AutoDiscoverSMTPAddress=entry.smtp,
        )
        mapi_http = _mapi_http(name, server.fqdn) if self._offers_mapi_http else ""
        account = f"{_text('AccountType', 'email')}{_text('Action', 'settings')}{mapi_http}{exch}{expr}"
        return _document(f'<Response xmlns="{_SETTINGS}">{user}<Account>{account}</Account></Response>')


def _version_text(version: str) -> str:
    """The store's version as the 32 bits of ServerVersion ([MS-OXDSCLI] 2.2.4.1.1.2.5)."""
    major, minor, build, _ = map(int, version.split("."))
    return f"{7 << 28 | major << 22 | minor << 16 | 1 << 15 | build & 0x7FFF:08X}"


def _mapi_http(host: str, mailbox: str) -> str:
    """The block of those who speak MAPI over HTTP; what it names is not served."""
    blocks = ""
    for tag, service in (("MailStore", "emsmdb"), ("AddressBook", "nspi")):
        url = f"https://{host}/mapi/{service}/?MailboxId={mailbox}"
        blocks += _element(tag, InternalUrl=url, ExternalUrl=url)
    return f'<Protocol Type="mapiHttp" Version="1">{blocks}</Protocol>'


def _refusal(code: int, message: str) -> bytes:
    error = f"{_text('ErrorCode', str(code))}{_text('Message', message)}<DebugData/>"
    return _document(f'<Response><Error Time="12:00:00.0000000" Id="1">{error}</Error></Response>')


def _document(response: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<Autodiscover xmlns="{_ANSWER}">{response}</Autodiscover>'
    ).encode()


def _element(tag: str, **children: str) -> str:
    inner = "".join(_text(name, value) for name, value in children.items())
    return f"<{tag}>{inner}</{tag}>"


def _text(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"
