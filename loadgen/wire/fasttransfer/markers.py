"""Markers ([MS-OXCFXICS] 2.2.4.1.4), and properties that only streams and states carry (2.2.1, 2.2.4.1.5)."""

from collections.abc import Mapping
from typing import Final, NewType

Marker = NewType("Marker", int)
"""A word of the stream that is no property: nothing follows it."""

NewAttach: Final = Marker(0x40000003)
StartEmbed: Final = Marker(0x40010003)
EndEmbed: Final = Marker(0x40020003)
StartRecip: Final = Marker(0x40030003)
EndToRecip: Final = Marker(0x40040003)
StartTopFld: Final = Marker(0x40090003)
StartSubFld: Final = Marker(0x400A0003)
EndFolder: Final = Marker(0x400B0003)
StartMessage: Final = Marker(0x400C0003)
EndMessage: Final = Marker(0x400D0003)
EndAttach: Final = Marker(0x400E0003)
StartFAIMsg: Final = Marker(0x40100003)
IncrSyncChg: Final = Marker(0x40120003)
IncrSyncDel: Final = Marker(0x40130003)
IncrSyncEnd: Final = Marker(0x40140003)
IncrSyncMessage: Final = Marker(0x40150003)
FXErrorInfo: Final = Marker(0x40180003)
IncrSyncRead: Final = Marker(0x402F0003)
IncrSyncStateBegin: Final = Marker(0x403A0003)
IncrSyncStateEnd: Final = Marker(0x403B0003)
IncrSyncProgressMode: Final = Marker(0x4074000B)
IncrSyncProgressPerMsg: Final = Marker(0x4075000B)
IncrSyncGroupInfo: Final = Marker(0x407B0102)
IncrSyncChgPartial: Final = Marker(0x407D0003)

MARKER_NAMES: Final[Mapping[int, str]] = {
    value: name for name, value in globals().items() if isinstance(value, int)
}
"""All of the above."""

MetaTagDnPrefix: Final = 0x4008001E
MetaTagEcWarning: Final = 0x400F0003
MetaTagNewFXFolder: Final = 0x40110102
MetaTagFXDelProp: Final = 0x40160003
MetaTagIncrementalSyncMessagePartial: Final = 0x407A0003
MetaTagIncrSyncGroupId: Final = 0x407C0003

MetaTagIdsetGiven: Final = 0x40170003
"""Its type says a number, but its value is binary."""

MetaTagCnsetSeen: Final = 0x67960102
MetaTagCnsetSeenFAI: Final = 0x67DA0102
MetaTagCnsetRead: Final = 0x67D20102
MetaTagIdsetDeleted: Final = 0x67E50102
MetaTagIdsetNoLongerInScope: Final = 0x40210102
MetaTagIdsetExpired: Final = 0x67930102
MetaTagIdsetRead: Final = 0x402D0102
MetaTagIdsetUnread: Final = 0x402E0102
