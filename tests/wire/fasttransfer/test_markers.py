"""Markers, against the table of the reference, section 6.3."""

import pytest

from loadgen.wire.fasttransfer.markers import MARKER_NAMES

REFERENCE = """
    StartTopFld 0x40090003              IncrSyncChg 0x40120003
    StartSubFld 0x400A0003              IncrSyncChgPartial 0x407D0003
    EndFolder 0x400B0003                IncrSyncMessage 0x40150003
    StartMessage 0x400C0003             IncrSyncDel 0x40130003
    EndMessage 0x400D0003               IncrSyncRead 0x402F0003
    StartFAIMsg 0x40100003              IncrSyncStateBegin 0x403A0003
    StartEmbed 0x40010003               IncrSyncStateEnd 0x403B0003
    EndEmbed 0x40020003                 IncrSyncEnd 0x40140003
    StartRecip 0x40030003               IncrSyncProgressMode 0x4074000B
    EndToRecip 0x40040003               IncrSyncProgressPerMsg 0x4075000B
    NewAttach 0x40000003                IncrSyncGroupInfo 0x407B0102
    EndAttach 0x400E0003                FXErrorInfo 0x40180003
"""


@pytest.mark.parametrize("row", REFERENCE.split("\n")[1:-1])
def test_markers_have_the_values_of_the_reference(row):
    left, left_value, right, right_value = row.split()
    assert MARKER_NAMES[int(left_value, 16)] == left
    assert MARKER_NAMES[int(right_value, 16)] == right


def test_there_are_no_others():
    assert len(MARKER_NAMES) == len(REFERENCE.split()) // 2
