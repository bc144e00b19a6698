"""All ROPs by RopId, and the four things a server says of its own accord."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from loadgen.wire.rop import (
    oxcfold,
    oxcfxics_download,
    oxcfxics_transfer,
    oxcfxics_upload,
    oxcmsg,
    oxcnotif,
    oxcprpt,
    oxcrops,
    oxcstor,
    oxctabl,
    oxomsg,
)
from loadgen.wire.rop.base import RopErrorResponse, RopRequest, RopResponse
from loadgen.wire.rop.oxcnotif import RopNotifyResponse, RopPendingResponse
from loadgen.wire.rop.oxcrops import RopBackoffResponse, RopBufferTooSmallResponse

Unrequested: TypeAlias = (
    RopNotifyResponse | RopPendingResponse | RopBackoffResponse | RopBufferTooSmallResponse
)
"""What answers no request in particular."""

Response: TypeAlias = RopResponse | RopErrorResponse | Unrequested
"""Anything that stands in the ROP list of an answer."""

UNREQUESTED: Final[Mapping[int, type[Unrequested]]] = {
    kind.rop_id: kind
    for kind in (RopNotifyResponse, RopPendingResponse, RopBackoffResponse, RopBufferTooSmallResponse)
}

_DOCUMENTS = (
    oxcrops,
    oxcstor,
    oxcfold,
    oxctabl,
    oxcmsg,
    oxomsg,
    oxcprpt,
    oxcnotif,
    oxcfxics_transfer,
    oxcfxics_download,
    oxcfxics_upload,
)

REQUESTS: Final[Mapping[int, type[RopRequest]]] = {
    request.rop_id: request for document in _DOCUMENTS for request in document.REQUESTS
}
