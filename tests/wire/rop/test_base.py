"""What ROPs have in common, on the shortest of them."""

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.rop.base import EVERY_RETURN_VALUE, RopErrorResponse
from loadgen.wire.rop.oxcfold import RopDeleteFolderResponse, RopOpenFolderRequest, RopOpenFolderResponse


def written(rop):
    writer = Writer()
    rop.write(writer)
    return writer.getvalue()


def test_requests_start_with_their_id_and_the_indexes():
    request = RopOpenFolderRequest(3, 1, 2, 0x0501000000000001, 4)
    assert written(request) == bytes.fromhex("02 03 01 02 0100000000000105 04")
    assert RopOpenFolderRequest.read(Reader(written(request), 1)) == request
    assert request.response_type(0) is RopOpenFolderResponse
    assert request.response_columns({}.__getitem__) == ()


def test_responses_start_with_their_id_the_index_and_the_return_value():
    response = RopOpenFolderResponse(2, has_rules=True)
    assert written(response) == bytes.fromhex("02 02 00000000 01 00")
    assert RopOpenFolderResponse.read(Reader(written(response), 6), 2, 0) == response


def test_a_failure_has_a_header_only():
    assert written(RopErrorResponse(0x02, 1, 0x8004010F)) == bytes.fromhex("02 01 0f010480")


def test_some_responses_keep_their_fields_on_failure():
    assert 0x80070005 in RopDeleteFolderResponse.fields_present_for
    assert 0x80070005 not in RopOpenFolderResponse.fields_present_for
    assert 0xFFFFFFFF in EVERY_RETURN_VALUE
