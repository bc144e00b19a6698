"""A server that none of us wrote, pyspnego's, behind the PDUs of a scripted one."""

import spnego
from spnego.iov import BufferType

from loadgen.wire import pdu as wire

USER, PASSWORD = "CONTOSO\\user0001", "Passw0rd!"
TYPES = {"ntlm": 10, "negotiate": 9}
LEVELS = {"connect": 2, "integrity": 5, "privacy": 6}
OPTIONS = {
    "ntlm": spnego.NegotiateOptions.use_ntlm,
    "negotiate": spnego.NegotiateOptions.use_negotiate,
}


def add_account(path, monkeypatch, password=PASSWORD):
    """Whom the acceptor knows."""
    path.write_text("{}:{}:{}\n".format(*USER.split("\\"), password), encoding="ascii")
    monkeypatch.setenv("NTLM_USER_FILE", str(path))


class Acceptor:
    """The server's side of one security context; ``padding`` is how far it fills up the stubs of answers."""

    def __init__(self, mechanism, level, context_id=1, padding=16):
        self.auth_type, self.level, self.context_id = TYPES[mechanism], LEVELS[level], context_id
        self.padding = padding
        self.context = spnego.server(
            protocol=mechanism, options=OPTIONS[mechanism], context_req=spnego.ContextReq.default
        )

    def answer(self, auth):
        """The verifier that answers a leg, or None if there is nothing to say."""
        assert (auth.auth_type, auth.auth_level, auth.auth_context_id) == self.names
        said = self.context.step(auth.token)
        return wire.AuthVerifier(*self.names, said) if said else None

    @property
    def names(self):
        return self.auth_type, self.level, self.context_id

    def open(self, pdu):
        """A request, its signature checked and its stub in the clear."""
        auth_length = int.from_bytes(pdu[10:12], "little")
        if self.level < 5:
            assert auth_length == 0
            return wire.decode(pdu)
        end = len(pdu) - auth_length
        start = end - 8
        header, body, trailer, token = pdu[:24], pdu[24:start], pdu[start:end], pdu[end:]
        assert len(body) % 16 == 0
        if self.level == 5:
            self.context.verify(pdu[:end], token)
        else:
            body = (
                self.context.unwrap_iov(
                    [
                        (BufferType.sign_only, header),
                        body,
                        (BufferType.sign_only, trailer),
                        (BufferType.header, token),
                    ]
                )
                .buffers[1]
                .data
            )
        return wire.decode(header + body + trailer + token)

    def close(self, answer):
        """A response or fault as it goes on the wire."""
        if self.level < 5:
            return answer.encode()
        stub = getattr(answer, "stub", bytes(8))
        filled = bytes(-len(stub) % self.padding)
        auth = wire.AuthVerifier(*self.names, bytes(16), filled)
        kind = type(answer)
        fields = {name: getattr(answer, name) for name in answer.__struct_fields__}
        plain = kind(**fields | {"auth": auth}).encode()
        end = len(plain) - 16
        if self.level == 5:
            return plain[:end] + self.context.sign(plain[:end])
        sealed = self.context.wrap_iov(
            [
                (BufferType.sign_only, plain[:24]),
                plain[24 : end - 8],
                (BufferType.sign_only, plain[end - 8 : end]),
                BufferType.header,
            ]
        )
        return plain[:24] + sealed.buffers[1].data + plain[end - 8 : end] + sealed.buffers[3].data


class SecuredServer:
    """Takes the PDUs of one association and answers all requests with their stubs, in upper case."""

    def __init__(self, *acceptors):
        self.acceptors = {acceptor.context_id: acceptor for acceptor in acceptors}
        self.requests = []
        self.flags = wire.WHOLE | wire.CONC_MPX | wire.SUPPORT_HEADER_SIGN
        self.fragment = 5840
        self.results = 99
        self.max_recv = 5840

    def hear(self, pdu):
        """The PDUs that answer."""
        match wire.pdu_type(pdu):
            case wire.PduType.BIND:
                bind = wire.Bind.decode(pdu)
                assert (bind.auth is None) is not bool(bind.flags & wire.SUPPORT_HEADER_SIGN)
                accepted = wire.ContextResult(wire.ACCEPTANCE, 0, wire.NDR)
                results = (*(accepted for _ in bind.contexts[1:]), wire.ContextResult(wire.NEGOTIATE_ACK, 3))
                return [
                    wire.BindAck(
                        *(bind.call_id, 5840, self.max_recv, 7, b"6001\0", results[: self.results]),
                        *(self.flags, self._answer(bind.auth)),
                    ).encode()
                ]
            case wire.PduType.ALTER_CONTEXT:
                alter = wire.AlterContext.decode(pdu)
                accepted = wire.ContextResult(wire.ACCEPTANCE, 0, wire.NDR)
                auth = self._answer(alter.auth)
                return [
                    wire.AlterContextResponse(
                        alter.call_id, 5840, 5840, 7, b"", (accepted,), auth=auth
                    ).encode()
                ]
            case wire.PduType.AUTH3:
                assert self._answer(wire.Auth3.decode(pdu).auth) is None
                return []
            case _:
                return self._on_request(pdu)

    def _answer(self, auth):
        return None if auth is None else self.acceptors[auth.auth_context_id].answer(auth)

    def _acceptor(self, pdu):
        auth = wire.decode(pdu).auth
        return next(iter(self.acceptors.values())) if auth is None else self.acceptors[auth.auth_context_id]

    def _on_request(self, pdu):
        acceptor = self._acceptor(pdu)
        request = acceptor.open(pdu)
        self.requests.append(request)
        if not request.flags & wire.LAST_FRAG:
            return []
        fragments = [part for part in self.requests if part.call_id == request.call_id]
        stub = b"".join(part.stub for part in fragments).upper()
        room = (self.fragment - 48) // 16 * 16
        starts = range(0, len(stub), room) or (0,)
        answers = []
        for start in starts:
            flags = (wire.FIRST_FRAG if start == 0 else 0) | (wire.LAST_FRAG if start == starts[-1] else 0)
            answers.append(
                wire.Response(request.call_id, request.context_id, stub[start : start + room], flags)
            )
        return [acceptor.close(answer) for answer in answers]


def converse(association, server):
    """Both sides speak until neither has more to say; gives the client's events."""
    events = []
    while pdus := association.pdus_to_send():
        for pdu in pdus:
            for answer in server.hear(pdu):
                events += association.receive_pdu(answer)
    return events
