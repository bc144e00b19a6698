"""RPC over TCP, as inside the firewall: each connection is an association, without RTS or banner."""

from collections.abc import Callable

from mock_server.rpc.association import Association
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpch.leg import Leg


class DirectServer:
    """One listening port (ncacn_ip_tcp, [MS-RPCE] 2.1.1.1); ``associations`` is how many have begun."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.associations = 0

    def accept(self, wake: Callable[[], None]) -> Leg:
        """A new TCP connection."""
        return Leg(self._begin, wake, banner=False)

    def _begin(self, leg: Leg, pdu: bytes, _now: float) -> None:
        association = Association(self.endpoint, leg.send)
        self.associations += 1
        leg.belongs_to(association.receive_pdu, lambda: self._end(association))
        association.receive_pdu(pdu)

    def _end(self, association: Association) -> None:
        self.associations -= 1
        association.lost()
