"""Finding a row of an open table ([MS-OXCTABL] 3.1.4.3)."""

from typing import Final

from loadgen.client.store_session import StoreSession
from loadgen.errors import MapiError
from loadgen.protocol.emsmdb_session import RopBatch, ServerObjectHandle
from loadgen.wire.properties import PropertyRow, PropertyValue
from loadgen.wire.restrictions import EQUAL, RestrictProperty
from loadgen.wire.rop.oxctabl import RopFindRowRequest, RopFindRowResponse

_FORWARD: Final = 0
_NOT_FOUND: Final = 0x8004010F


async def find_row(
    store: StoreSession, table: ServerObjectHandle, wanted: PropertyValue
) -> PropertyRow | None:
    """The first row with this value; None if there is none. Raises :class:`~loadgen.errors.PeerError`."""
    batch = RopBatch()
    restriction = RestrictProperty(EQUAL, wanted.tag, wanted)
    batch.add(RopFindRowRequest(0, batch.use(table), _FORWARD, restriction))
    try:
        return (await store.run(batch)).one(RopFindRowResponse).row
    except MapiError as error:
        if error.code == _NOT_FOUND:
            return None
        raise
