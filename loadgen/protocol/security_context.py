"""A security context of a client: tokens to and fro until both sides hold the same key, then signatures.

The tokens are pyspnego's: NTLM ([MS-NLMP]), SPNEGO ([MS-SPNG], [RFC 4178]) with NTLM in it, or Kerberos
([RFC 4121]) if the machine has a ticket for the user, and Python's gssapi and krb5.
"""

import struct
from collections.abc import Callable
from typing import Final, Literal, TypeAlias, TypeVar

import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError
from spnego.iov import BufferType

from loadgen.errors import RemoteProtocolError, WireError
from loadgen.protocol.credentials import Credentials
from loadgen.wire.spnego import decode

Mechanism: TypeAlias = Literal["ntlm", "negotiate"]

_OPTIONS: Final = {
    "ntlm": spnego.NegotiateOptions.use_ntlm,
    "negotiate": spnego.NegotiateOptions.use_negotiate,
}
# What pyspnego lets through of a token that is not one.
_UNREADABLE: Final = (SpnegoError, struct.error, ValueError, LookupError, OverflowError)
ResultT = TypeVar("ResultT")


class SecurityContext:
    """One context, for one channel or one association; ``host`` is who it is to talk to.

    Whatever takes something from the server raises :class:`RemoteProtocolError` if it is wrong.
    """

    __slots__ = ("_context", "_mic_size", "mechanism")

    def __init__(
        self, mechanism: Mechanism, credentials: Credentials, service: str, host: str, *, dce: bool = False
    ) -> None:
        style = spnego.ContextReq.dce_style if dce else spnego.ContextReq.none
        ntlm = spnego.NTLMHash(username=credentials.name, nt_hash=credentials.key.hex())
        ticket = spnego.CredentialCache(username=credentials.principal)
        self.mechanism = mechanism
        self._mic_size = 0
        self._context = spnego.client(
            [ntlm] if mechanism == "ntlm" else [ntlm, ticket],
            hostname=host,
            service=service,
            context_req=spnego.ContextReq.default | style,
            protocol=mechanism,
            options=_OPTIONS[mechanism],
        )

    @property
    def complete(self) -> bool:
        """Whether both sides have said all."""
        return self._context.complete

    @property
    def has_ticket(self) -> bool:
        """Whether it is Kerberos that has begun."""
        return self._context.negotiated_protocol == "kerberos"

    @property
    def signs(self) -> bool:
        """Whether both sides sign: an NTLM server that does not has a constant for a signature."""
        return bool(self._context.context_attr & spnego.ContextReq.integrity)

    @property
    def seals(self) -> bool:
        """Whether both sides seal."""
        return bool(self._context.context_attr & spnego.ContextReq.confidentiality)

    def token_size(self, *, sealed: bool) -> int:
        """Bytes of the signature of each message; known once the context is complete.

        Kerberos signs shorter where it does not seal ([RFC 4121] 4.2), as it has in the end of SPNEGO.
        """
        whole = self._context.query_message_sizes().header
        return whole if sealed else self._mic_size or whole

    def first_token(self) -> bytes:
        """What the client says first."""
        return self._context.step() or b""

    def answer(self, token: bytes, end_point: bytes = b"") -> bytes:
        """The answer to the server's token, b"" if all is said; ``end_point`` is that of TLS, if any."""
        bindings = GssChannelBindings(application_data=end_point) if end_point else None
        context = self._context
        if not token:
            raise RemoteProtocolError(f"{self.mechanism}: the server has sent no token")
        said = _checked(f"{self.mechanism} token", lambda: context.step(token, channel_bindings=bindings))
        if said and self.mechanism == "negotiate":
            self._mic_size = _mic_size(said)
        return said or b""

    def sign(self, message: bytes) -> bytes:
        """The signature of a message."""
        return self._context.sign(message)

    def verify(self, message: bytes, token: bytes) -> None:
        """Take the signature of the server's next message."""
        _checked("signature", lambda: self._context.verify(message, token))

    def seal(self, header: bytes, body: bytes, trailer: bytes) -> tuple[bytes, bytes]:
        """The encrypted body and the signature of a message of which the body alone is secret."""
        sealed = self._context.wrap_iov(
            [
                (BufferType.sign_only, header),
                body,
                (BufferType.sign_only, trailer),
                BufferType.header,
            ]
        )
        return _data(sealed.buffers[1].data), _data(sealed.buffers[3].data)

    def unseal(self, header: bytes, body: bytes, trailer: bytes, token: bytes) -> bytes:
        """The plain body of the server's next message."""
        context = self._context
        opened = _checked(
            "signature",
            lambda: context.unwrap_iov(
                [
                    (BufferType.sign_only, header),
                    body,
                    (BufferType.sign_only, trailer),
                    (BufferType.header, token),
                ]
            ),
        )
        return _data(opened.buffers[1].data)


def missing_ticket(credentials: Credentials, service: str, host: str) -> str:
    """Why a user does not begin with Kerberos here, in the words of the libraries; "" if he does."""
    ticket = spnego.CredentialCache(username=credentials.principal)
    try:
        spnego.client([ticket], hostname=host, service=service, protocol="kerberos").step()
    except (ImportError, SpnegoError) as error:
        return str(error)
    return ""


def _mic_size(token: bytes) -> int:
    """Bytes of the mechListMIC in a token of SPNEGO; 0 if there is none, as in bare NTLM."""
    try:
        return len(decode(token).mech_list_mic or b"")
    except WireError:
        return 0


def _checked(what: str, take: Callable[[], ResultT]) -> ResultT:
    try:
        return take()
    except _UNREADABLE as error:
        raise RemoteProtocolError(f"the server's {what} is wrong: {error}") from None


def _data(data: bytes | None) -> bytes:
    if data is None:
        raise AssertionError("what goes in comes out")
    return data
