"""The states of a virtual connection seen by the client, and what may come in each ([MS-RPCH] 3.2.2).

Once a virtual connection is open, its IN and its OUT channel are recycled independently of each other.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class State(Enum):
    """How far a virtual connection has come; the value says what it waits for."""

    REQUESTS = "the end of HTTP authentication"
    OUT_WAIT = "the answer on the OUT channel"
    A3_WAIT = "CONN/A3"
    C2_WAIT = "CONN/C2"
    OPEN = "PDUs"
    CLOSED = "nothing"


class InPhase(Enum):
    """How far the recycling of the IN channel has come; the value says what it waits for."""

    STEADY = "the end of its lifetime"
    REQUEST = "the end of HTTP authentication"
    A4_WAIT = "IN_R1/A4 or IN_R2/A4"
    CLOSE_WAIT = "the proxy to close the predecessor"


class OutPhase(Enum):
    """How far the recycling of the OUT channel has come; the value says what it waits for."""

    STEADY = "OUT_R1/A2 or OUT_R2/A2"
    REQUEST = "the end of HTTP authentication"
    A6_WAIT = "OUT_R1/A6 or OUT_R2/A6"
    A10_WAIT = "OUT_R1/A10"
    B3_WAIT = "OUT_R2/B3"
    ANSWER_WAIT = "the answer on the successor"


REQUESTED: Final = "both requests"
ANSWERED: Final = "HTTP 200"
RPC_PDU: Final = "an RPC PDU"
IN_DUE: Final = "the margin of the IN channel"
IN_REQUESTED: Final = "the request of the IN successor"
IN_PREDECESSOR_GONE: Final = "the end of the IN predecessor"
OUT_REQUESTED: Final = "the request of the OUT successor"
OUT_ANSWERED: Final = "HTTP 200 on the OUT successor"

TRANSITIONS: Final[Mapping[State, Mapping[str, State]]] = {
    State.REQUESTS: {REQUESTED: State.OUT_WAIT},
    State.OUT_WAIT: {ANSWERED: State.A3_WAIT},
    State.A3_WAIT: {"CONN/A3": State.C2_WAIT},
    State.C2_WAIT: {"CONN/C2": State.OPEN, "Ping": State.C2_WAIT},
    State.OPEN: {
        RPC_PDU: State.OPEN,
        "Ping": State.OPEN,
        "FlowControlAckWithDestination": State.OPEN,
    },
    State.CLOSED: {},
}
"""What may come in each state, and the state after it; in OPEN also what the next two tables have."""

IN_RECYCLING: Final[Mapping[InPhase, Mapping[str, InPhase]]] = {
    InPhase.STEADY: {IN_DUE: InPhase.REQUEST},
    InPhase.REQUEST: {IN_REQUESTED: InPhase.A4_WAIT},
    InPhase.A4_WAIT: {"IN_R1/A4": InPhase.CLOSE_WAIT, "IN_R2/A4": InPhase.CLOSE_WAIT},
    InPhase.CLOSE_WAIT: {IN_PREDECESSOR_GONE: InPhase.STEADY},
}
"""The client begins, and only once the predecessor has gone again: nothing else shows that A5 was taken."""

OUT_RECYCLING: Final[Mapping[OutPhase, Mapping[str, OutPhase]]] = {
    OutPhase.STEADY: {"OUT_R1/A2": OutPhase.REQUEST},
    OutPhase.REQUEST: {OUT_REQUESTED: OutPhase.A6_WAIT},
    OutPhase.A6_WAIT: {"OUT_R1/A6": OutPhase.A10_WAIT, "OUT_R2/A6": OutPhase.B3_WAIT},
    OutPhase.A10_WAIT: {"OUT_R1/A10": OutPhase.ANSWER_WAIT},
    OutPhase.B3_WAIT: {"OUT_R2/B3": OutPhase.ANSWER_WAIT},
    OutPhase.ANSWER_WAIT: {OUT_ANSWERED: OutPhase.STEADY},
}
"""The server begins. OUT_R1/A2 and OUT_R2/A2 are the same bytes; the answer A6 tells the two forms apart."""
