"""What a trace says of an endpoint mapper that is asked for a port."""

import pytest

from loadgen.trace.dialogue import Dialogue
from loadgen.wire import epm, nspi
from loadgen.wire.pdu import NDR, Bind, PresentationContext, Request, Response

LSARPC = "12345778-1234-abcd-ef00-0123456789ab 0.0"
NOWHERE = epm.EptMapRequest(epm.Tower(()))
UNREADABLE = b"\xff" * 8


@pytest.fixture
def dialogue() -> Dialogue:
    heard = Dialogue()
    heard.hear(Bind(1, 4280, 4280, 0, (PresentationContext(0, epm.INTERFACE, (NDR,)),)).encode())
    return heard


def ask(dialogue: Dialogue, stub: bytes) -> str:
    return dialogue.hear(Request(2, 0, epm.EptMapRequest.opnum, stub).encode()).detail


def answer(dialogue: Dialogue, stub: bytes) -> str:
    ask(dialogue, epm.EptMapRequest(epm.Tower.of_tcp(nspi.INTERFACE)).encode())
    return dialogue.hear(Response(2, 0, stub).encode()).detail


def test_the_interface_that_is_asked_for(dialogue, vector):
    assert ask(dialogue, vector("epm/ept_map_request.hex")) == f"call 2: EPM.EptMap [{LSARPC}]"
    ours = epm.EptMapRequest(epm.Tower.of_tcp(nspi.INTERFACE)).encode()
    assert ask(dialogue, ours) == "call 2: EPM.EptMap [NSPI 56.0]"


def test_where_it_is(dialogue, vector):
    told = answer(dialogue, vector("epm/ept_map_response.hex"))
    assert told == "call 2: EPM.EptMap returns 0x00000000 [127.0.0.1:49152]"


def test_that_it_is_nowhere(dialogue, vector):
    told = answer(dialogue, vector("epm/ept_map_not_registered.hex"))
    assert told == f"call 2: EPM.EptMap returns 0x{epm.NOT_REGISTERED:08X} [nowhere]"


@pytest.mark.parametrize(
    ("stub", "told"),
    [
        (NOWHERE.encode(), "call 2: EPM.EptMap"),
        (UNREADABLE, "call 2: EPM.EptMap [a tower that cannot be read]"),
    ],
)
def test_questions_that_make_no_sense(dialogue, stub, told):
    assert ask(dialogue, stub) == told


def test_an_answer_that_makes_no_sense(dialogue):
    told = answer(dialogue, UNREADABLE)
    assert told == "call 2: EPM.EptMap returns 0xFFFFFFFF [towers that cannot be read]"
