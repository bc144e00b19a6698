"""Autodiscover's plain XML ([MS-OXDSCLI]): what a client asks, and what a server answers about a mailbox.

Elements are known by their local names: servers differ in the namespaces that they give them.
"""

import re
from typing import Final, Self, TypeAlias
from xml.parsers import expat
from xml.sax.saxutils import escape

import msgspec

from loadgen.errors import WireError

CONTENT_TYPE: Final = "text/xml; charset=utf-8"
LARGEST_ANSWER: Final = 1 << 20
"""Bytes of an answer; real ones have some thousand."""

_REQUEST_SCHEMA: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
_RESPONSE_SCHEMA: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_DEEPEST: Final = 20
_VERSION: Final = re.compile(r"[0-9A-Fa-f]{8}")
_TRUE: Final = ("on", "true", "yes", "1")


class Element:
    """One element of a document: local name, text, attributes and children."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.text = ""
        self.children: list[Element] = []

    def all(self, name: str) -> "list[Element]":
        """The children of that name."""
        return [child for child in self.children if child.name == name]

    def get(self, path: str) -> "Element | None":
        """The first descendant by a path of names."""
        here: Element | None = self
        for name in path.split("/"):
            here = next(iter(here.all(name)), None) if here is not None else None
        return here

    def value(self, path: str, default: str = "") -> str:
        """The text of a descendant."""
        found = self.get(path)
        return default if found is None else found.text.strip()


def parse(data: bytes) -> Element:
    """A document as elements. Entities are refused, since a few lines of them may expand to gigabytes.

    Raises :class:`WireError`.
    """
    if len(data) > LARGEST_ANSWER:
        raise WireError("Autodiscover", LARGEST_ANSWER, f"{len(data)} bytes are too many")
    parser = expat.ParserCreate(namespace_separator="}")
    top = Element("", {})
    path = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(path) > _DEEPEST:
            raise WireError(name, parser.CurrentByteIndex, "elements stand too deep in each other")
        element = Element(name.rpartition("}")[2], attributes)
        path[-1].children.append(element)
        path.append(element)

    def end(_name: str) -> None:
        path.pop()

    def text(data: str) -> None:
        path[-1].text += data

    def declare(*_: object) -> None:
        raise WireError("DOCTYPE", parser.CurrentByteIndex, "document types and entities are refused")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, declare
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise WireError("Autodiscover", parser.CurrentByteIndex, f"not XML: {error}") from None
    except (LookupError, ValueError) as error:  # an encoding that Python does not have
        raise WireError("Autodiscover", 0, f"not XML: {error}") from None
    return top.children[0]


class AutodiscoverRequest(msgspec.Struct, frozen=True, gc=False):
    """What is asked about a mailbox ([MS-OXDSCLI] 2.2.3)."""

    address: str

    def encode(self) -> bytes:
        """The body of the POST."""
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n'
            f'<Autodiscover xmlns="{_REQUEST_SCHEMA}"><Request><EMailAddress>{escape(self.address)}'
            f"</EMailAddress><AcceptableResponseSchema>{_RESPONSE_SCHEMA}</AcceptableResponseSchema>"
            "</Request></Autodiscover>"
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises :class:`WireError`."""
        document = parse(data)
        address = document.value("Request/EMailAddress")
        if document.name != "Autodiscover" or not address:
            raise WireError("EMailAddress", 0, "missing")
        return cls(address)


class WebServer(msgspec.Struct, frozen=True, gc=False):
    """An EXPR or EXHTTP block: the web server with the RPC proxy ([MS-OXDSCLI] 2.2.4.1.1.2.6)."""

    kind: str
    host: str
    tls: bool
    auth_package: str
    """In lower case: ``basic``, ``ntlm``, ``negotiate`` …; "" if the server does not say."""
    certificate_name: str
    """What the certificate has to be issued to; "" for the host, ``none`` for no matter whom."""


class MailboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of a mailbox. Texts that it leaves out are "", ports 0."""

    display_name: str
    legacy_dn: str
    address: str
    server: str
    """Name of the mailbox server, to be put behind the RPC proxy's path."""
    server_dn: str
    server_version: tuple[int, int, int]
    """Major, minor, build; zeros if unknown."""
    database_dn: str
    rpc_auth_package: str
    public_folder_server: str
    store_port: int
    referral_port: int
    directory_port: int
    web_servers: tuple[WebServer, ...]

    @property
    def web_server(self) -> WebServer | None:
        """The RPC proxy to use: EXPR, or of the EXHTTP blocks the last, which is the external one."""
        ranked = sorted(self.web_servers, key=lambda each: each.kind == "EXPR")
        return ranked[-1] if ranked else None


class RedirectAddress(msgspec.Struct, frozen=True, gc=False):
    """The mailbox goes by another address."""

    address: str


class RedirectUrl(msgspec.Struct, frozen=True, gc=False):
    """Another server knows."""

    url: str


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """An error within the answer, such as 600 for an invalid request."""

    code: int
    message: str


Answer: TypeAlias = MailboxSettings | RedirectAddress | RedirectUrl | Refusal


def decode_answer(data: bytes) -> Answer:
    """What a server's answer says; raises :class:`WireError`."""
    document = parse(data)
    response = document.get("Response")
    if document.name != "Autodiscover" or response is None:
        raise WireError("Response", 0, "missing")
    if (error := response.get("Error")) is not None:
        return Refusal(_number(error.value("ErrorCode")), error.value("Message"))
    account = response.get("Account")
    if account is None:
        raise WireError("Account", 0, "missing")
    if address := account.value("RedirectAddr"):
        return RedirectAddress(address)
    if url := account.value("RedirectUrl"):
        return RedirectUrl(url)
    return _settings(response, account)


def version_of(text: str) -> tuple[int, int, int]:
    """Major, minor and build from a ServerVersion of eight hexadecimal digits; zeros for anything else."""
    if not _VERSION.fullmatch(text):
        return 0, 0, 0
    bits = int(text, 16)
    return bits >> 22 & 0x3F, bits >> 16 & 0x3F, bits & 0x7FFF


def _settings(response: Element, account: Element) -> MailboxSettings:
    blocks = account.all("Protocol")
    exch = next((each for each in blocks if each.value("Type").upper() == "EXCH"), Element("Protocol", {}))
    user = response.get("User") or Element("User", {})
    return MailboxSettings(
        display_name=user.value("DisplayName"),
        legacy_dn=user.value("LegacyDN"),
        address=user.value("AutoDiscoverSMTPAddress"),
        server=exch.value("Server"),
        server_dn=exch.value("ServerDN"),
        server_version=version_of(exch.value("ServerVersion")),
        database_dn=exch.value("MdbDN"),
        rpc_auth_package=exch.value("AuthPackage").lower(),
        public_folder_server=exch.value("PublicFolderServer"),
        store_port=_number(exch.value("Port")),
        referral_port=_number(exch.value("ReferralPort")),
        directory_port=_number(exch.value("DirectoryPort")),
        web_servers=tuple(
            _web_server(each) for each in blocks if each.value("Type").upper() in ("EXPR", "EXHTTP")
        ),
    )


def _web_server(block: Element) -> WebServer:
    name = block.value("CertPrincipalName")
    return WebServer(
        kind=block.value("Type").upper(),
        host=block.value("Server"),
        tls=block.value("SSL", "on").lower() in _TRUE,
        auth_package=block.value("AuthPackage").lower(),
        certificate_name="none" if name.lower() == "none" else name.removeprefix("msstd:"),
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
