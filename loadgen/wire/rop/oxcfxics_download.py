"""ROPs of synchronisation (ICS): what a client has, and the stream of what it lacks ([MS-OXCFXICS] 2.2.3.2).

The stream is fetched with RopFastTransferSourceGetBuffer, and has the form of
:mod:`loadgen.wire.fasttransfer.synchronization`.
"""

from typing import Final

from loadgen.wire.rop.base import InputRequest, OpeningRequest, RopResponse
from loadgen.wire.rop.layout import U8, U16, U32, LongSizedBytes, PropertyTags, SizedRestriction

CONTENTS: Final = 1
HIERARCHY: Final = 2
"""SynchronizationType."""

SYNC_UNICODE: Final = 0x0001
SYNC_NO_DELETIONS: Final = 0x0002
SYNC_IGNORE_NO_LONGER_IN_SCOPE: Final = 0x0004
SYNC_READ_STATE: Final = 0x0008
SYNC_FAI: Final = 0x0010
SYNC_NORMAL: Final = 0x0020
SYNC_ONLY_SPECIFIED_PROPERTIES: Final = 0x0080
SYNC_NO_FOREIGN_IDENTIFIERS: Final = 0x0100
SYNC_BEST_BODY: Final = 0x2000
SYNC_IGNORE_SPECIFIED_ON_FAI: Final = 0x4000
SYNC_PROGRESS: Final = 0x8000
"""SynchronizationFlags."""

EXTRA_EID: Final = 0x00000001
EXTRA_MESSAGE_SIZE: Final = 0x00000002
EXTRA_CHANGE_NUMBER: Final = 0x00000004
EXTRA_ORDER_BY_DELIVERY_TIME: Final = 0x00000008
"""SynchronizationExtraFlags."""


class RopSynchronizationConfigureResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.13.1."""

    rop_id = 0x70


class RopSynchronizationConfigureRequest(OpeningRequest, frozen=True):
    """Opens the download of a folder's changes; ``property_tags`` are left out, or the only ones with
    SYNC_ONLY_SPECIFIED_PROPERTIES ([MS-OXCROPS] 2.2.13.1).
    """

    rop_id = 0x70
    response = RopSynchronizationConfigureResponse
    synchronization_type: U8
    send_options: U8
    synchronization_flags: U16
    restriction: SizedRestriction = None
    synchronization_extra_flags: U32 = 0
    property_tags: PropertyTags = ()


class RopSynchronizationUploadStateStreamBeginResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.13.9."""

    rop_id = 0x75


class RopSynchronizationUploadStateStreamBeginRequest(InputRequest, frozen=True, gc=False):
    """Announces a property of the client's state, and its size in bytes ([MS-OXCROPS] 2.2.13.9)."""

    rop_id = 0x75
    response = RopSynchronizationUploadStateStreamBeginResponse
    state_property: U32
    transfer_buffer_size: U32


class RopSynchronizationUploadStateStreamContinueResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.13.10."""

    rop_id = 0x76


class RopSynchronizationUploadStateStreamContinueRequest(InputRequest, frozen=True, gc=False):
    """The next bytes of that property ([MS-OXCROPS] 2.2.13.10)."""

    rop_id = 0x76
    response = RopSynchronizationUploadStateStreamContinueResponse
    stream_data: LongSizedBytes


class RopSynchronizationUploadStateStreamEndResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.13.11."""

    rop_id = 0x77


class RopSynchronizationUploadStateStreamEndRequest(InputRequest, frozen=True, gc=False):
    """That property is complete ([MS-OXCROPS] 2.2.13.11)."""

    rop_id = 0x77
    response = RopSynchronizationUploadStateStreamEndResponse


class RopSynchronizationGetTransferStateResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.13.8."""

    rop_id = 0x82


class RopSynchronizationGetTransferStateRequest(OpeningRequest, frozen=True, gc=False):
    """Opens the stream of the state that a download or upload has reached ([MS-OXCROPS] 2.2.13.8)."""

    rop_id = 0x82
    response = RopSynchronizationGetTransferStateResponse


REQUESTS = (
    RopSynchronizationConfigureRequest,
    RopSynchronizationUploadStateStreamBeginRequest,
    RopSynchronizationUploadStateStreamContinueRequest,
    RopSynchronizationUploadStateStreamEndRequest,
    RopSynchronizationGetTransferStateRequest,
)
