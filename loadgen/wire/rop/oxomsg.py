"""ROPs that send mail ([MS-OXOMSG] 2.2.3)."""

from collections.abc import Sequence
from typing import Annotated, Final

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.rop.base import InputRequest, RopResponse
from loadgen.wire.rop.layout import U8, U64, Bool8, PropertyValues

PREPROCESS: Final = 0x01
NEEDS_SPOOLER: Final = 0x02
"""SubmitFlags."""


class RopSubmitMessageResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.7.1."""

    rop_id = 0x32


class RopSubmitMessageRequest(InputRequest, frozen=True, gc=False):
    """Sends a message ([MS-OXCROPS] 2.2.7.1)."""

    rop_id = 0x32
    response = RopSubmitMessageResponse
    submit_flags: U8 = 0


class RopAbortSubmitResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.7.2."""

    rop_id = 0x34


class RopAbortSubmitRequest(InputRequest, frozen=True, gc=False):
    """Stops a message that waits to be sent ([MS-OXCROPS] 2.2.7.2)."""

    rop_id = 0x34
    response = RopAbortSubmitResponse
    folder_id: U64
    message_id: U64


class RopTransportSendResponse(RopResponse, frozen=True):
    """Properties that the server changed, as a rule none ([MS-OXCROPS] 2.2.7.6)."""

    rop_id = 0x4A
    no_properties_returned: Bool8
    values: PropertyValues = ()


class RopTransportSendRequest(InputRequest, frozen=True, gc=False):
    """Sends a message that a client in cached mode uploaded ([MS-OXCROPS] 2.2.7.6)."""

    rop_id = 0x4A
    response = RopTransportSendResponse


class _AddressTypesForm:
    """A count, the size of all strings, and the strings."""

    def read(self, reader: Reader, field: str) -> tuple[str, ...]:
        count = reader.u16(field)
        with reader.limited_to(reader.u16(field), field):
            return tuple(reader.asciiz(field) for _ in range(count))

    def write(self, writer: Writer, value: Sequence[str]) -> None:
        writer.u16(len(value))
        writer.u16(sum(len(address_type) + 1 for address_type in value))
        for address_type in value:
            writer.asciiz(address_type)


class RopGetAddressTypesResponse(RopResponse, frozen=True):
    """Types such as EX and SMTP ([MS-OXCROPS] 2.2.7.3)."""

    rop_id = 0x49
    address_types: Annotated[tuple[str, ...], _AddressTypesForm()]


class RopGetAddressTypesRequest(InputRequest, frozen=True, gc=False):
    """Asks to which types of address the server can send ([MS-OXCROPS] 2.2.7.3)."""

    rop_id = 0x49
    response = RopGetAddressTypesResponse


class RopSetSpoolerResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.7.4."""

    rop_id = 0x47


class RopSetSpoolerRequest(InputRequest, frozen=True, gc=False):
    """Says that the client takes part in sending ([MS-OXCROPS] 2.2.7.4)."""

    rop_id = 0x47
    response = RopSetSpoolerResponse


class RopGetTransportFolderResponse(RopResponse, frozen=True, gc=False):
    """The folder for temporary messages ([MS-OXCROPS] 2.2.7.8)."""

    rop_id = 0x6D
    folder_id: U64


class RopGetTransportFolderRequest(InputRequest, frozen=True, gc=False):
    """Asks for the folder of temporary messages ([MS-OXCROPS] 2.2.7.8)."""

    rop_id = 0x6D
    response = RopGetTransportFolderResponse


REQUESTS = (
    RopSubmitMessageRequest,
    RopAbortSubmitRequest,
    RopTransportSendRequest,
    RopGetAddressTypesRequest,
    RopSetSpoolerRequest,
    RopGetTransportFolderRequest,
)
