"""One RPC endpoint: which interfaces it serves, and the association groups of its clients."""

from collections.abc import Iterable
from itertools import count
from typing import Final

from loadgen.wire import mgmt
from loadgen.wire.pdu import SyntaxId
from mock_server.counters import RpcStatistics
from mock_server.dialect import RpcManners
from mock_server.rpc.dispatch import AssociationGroup, Interface
from mock_server.rpc.mgmt import mgmt_interface
from mock_server.rpc.security import LEVEL_NONE, RpcSecurity

_FIRST_GROUP: Final = 0x00012345


class Endpoint:
    """What a server offers on ``port``; remote management is always there, at any level of security.

    ``security`` None: clients that authenticate are told that nobody knows how. ``manners`` are the
    dialect's; where these share context handles, endpoints do so that have the same ``handles``.
    """

    def __init__(
        self,
        server_name: str,
        port: int,
        interfaces: Iterable[Interface],
        statistics: RpcStatistics,
        security: RpcSecurity | None = None,
        manners: RpcManners = RpcManners(),  # noqa: B008 - frozen
    ) -> None:
        self.manners = manners
        self._handles: dict[bytes, object] = {}
        served = tuple(interfaces)
        management = mgmt_interface((offered.interface for offered in served), statistics)
        self.security = security
        self.server_name = server_name
        self.secondary_address = f"{port}\0".encode("ascii")
        self.statistics = statistics
        self._interfaces = {offered.interface.uuid: offered for offered in (*served, management)}
        self._groups: dict[int, AssociationGroup] = {}
        self._group_ids = count(_FIRST_GROUP)

    def find(self, syntax: SyntaxId) -> Interface | None:
        """The interface of this UUID and major version, and of this minor version or a later one."""
        found = self._interfaces.get(syntax.uuid)
        if found is None or _major(found.interface) != _major(syntax):
            return None
        return found if _minor(found.interface) >= _minor(syntax) else None

    def minimum_level(self, interface: Interface) -> int:
        """The lowest authentication level at which an interface may be called."""
        of_management = interface.interface == mgmt.INTERFACE
        return LEVEL_NONE if self.security is None or of_management else self.security.minimum

    def join(self, group_id: int, client_group: bytes) -> AssociationGroup | None:
        """The association group of a new connection, a new one if ``group_id`` is 0.

        ``client_group`` is the RTS AssociationGroupId, b"" without RTS: a connection that joins a group must
        have said the same in both places. None if there is no such group.
        """
        if group_id == 0:
            group_id = next(self._group_ids)
            group = self._groups[group_id] = self._new_group(group_id, client_group)
        elif self.manners.shared_handles:
            group = self._groups.get(group_id) or self._new_group(group_id, client_group)
            self._groups[group_id] = group
        else:
            found = self._groups.get(group_id)
            if found is None or found.client_group != client_group:
                return None
            group = found
        group.connections += 1
        return group

    def _new_group(self, group_id: int, client_group: bytes) -> AssociationGroup:
        shared = self._handles if self.manners.shared_handles else None
        return AssociationGroup(group_id, client_group, shared, self.manners.handle_attributes)

    def leave(self, group: AssociationGroup) -> None:
        """A connection has gone; with the last one go the context handles."""
        group.connections -= 1
        if not group.connections:
            del self._groups[group.group_id]
            group.run_down()


def _major(syntax: SyntaxId) -> int:
    return syntax.version & 0xFFFF


def _minor(syntax: SyntaxId) -> int:
    return syntax.version >> 16
