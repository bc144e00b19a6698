"""A conversation of ROPs, both sides, against bytes from outside."""

from collections.abc import Callable, Sequence

import pytest

from loadgen.errors import WireError
from loadgen.wire.rop.base import RopErrorResponse, RopRequest
from loadgen.wire.rop.buffer import read_requests, read_responses, write_requests, write_responses
from loadgen.wire.rop.registry import Response


@pytest.fixture
def check_conversation(vector: Callable[[str], bytes]) -> Callable[..., None]:
    """Both directions of the payloads in two vectors, then every truncation of their ROP lists.

    ``open_ended`` says that the last response takes all bytes that there are.
    """

    def check(
        request_vector: str,
        response_vector: str,
        requests: list[RopRequest],
        handles: list[int],
        responses: list[Response],
        answered_handles: list[int],
        open_ended: bool = False,
    ) -> None:
        payload = vector(f"rop/{request_vector}.hex")
        assert read_requests(payload) == (requests, handles)
        assert write_requests(requests, handles) == payload
        check_truncations(payload, requests, lambda cut: read_requests(cut)[0])

        payload = vector(f"rop/{response_vector}.hex")

        def read(data: bytes) -> tuple[list[Response], list[int]]:
            return read_responses(data, requests, lambda _handle_index: ())

        assert read(payload) == (responses, answered_handles)
        assert write_responses(responses, answered_handles) == payload
        if not open_ended:
            check_truncations(payload, responses, lambda cut: read(cut)[0])

    return check


@pytest.fixture
def check_exchange() -> Callable[[str, RopRequest, str, Response], None]:
    """One ROP written out in hex from the reference's layout: both directions, then every truncation."""

    def check(request_hex: str, request: RopRequest, response_hex: str, response: Response) -> None:
        payload = in_buffer(bytes.fromhex(request_hex))
        assert write_requests([request], []) == payload
        assert read_requests(payload) == ([request], [])
        check_truncations(payload, [request], lambda cut: read_requests(cut)[0])

        payload = in_buffer(bytes.fromhex(response_hex))

        def read(data: bytes) -> list[Response]:
            return read_responses(data, [request], lambda _handle_index: ())[0]

        assert write_responses([response], []) == payload
        assert read(payload) == [response]
        check_truncations(payload, [response], read)

    return check


def in_buffer(rops: bytes) -> bytes:
    """A ROP buffer without handles."""
    return (len(rops) + 2).to_bytes(2, "little") + rops


def check_truncations(
    payload: bytes, whole: Sequence[object], read: Callable[[bytes], Sequence[object]]
) -> None:
    """A list cut anywhere is refused, unless between two ROPs, or behind the header of a failure."""
    rops = payload[2 : int.from_bytes(payload[:2], "little")]
    for size in range(len(rops)):
        try:
            start = read(in_buffer(rops[:size]))
        except WireError:
            continue
        if start and isinstance(start[-1], RopErrorResponse):
            start = start[:-1]
        assert len(start) < len(whole)
        assert list(start) == list(whole[: len(start)])
