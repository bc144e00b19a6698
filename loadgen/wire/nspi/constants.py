"""Numbers to which [MS-OXNSPI] 2.2.1 gives a name."""

from typing import Final, NewType

from loadgen.wire.pdu import SyntaxId

INTERFACE: Final = SyntaxId.of("f5cc5a18-4264-101a-8c59-08002b2f8426", 56, 0)

MId = NewType("MId", int)
"""Minimal Entry ID ([MS-OXNSPI] 2.2.9.1): the number of an object, valid under NspiBind's server GUID."""

BEGINNING_OF_TABLE: Final = MId(0)
CURRENT: Final = MId(1)
"""In STAT: the position is the fraction NumPos / TotalRecs."""
END_OF_TABLE: Final = MId(2)

UNRESOLVED: Final = MId(0)
AMBIGUOUS: Final = MId(1)
RESOLVED: Final = MId(2)

SORT_DISPLAY_NAME: Final = 0
SORT_PHONETIC_DISPLAY_NAME: Final = 3
SORT_MEMBERS_READ_ONLY: Final = 1000
SORT_MEMBERS_WRITABLE: Final = 1001

CP_TELETEX: Final = 20261
CP_WINUNICODE: Final = 1200
"""The one code page that a STAT may not name: Unicode strings are had by asking for them."""
DEFAULT_CODE_PAGE: Final = 1252
DEFAULT_LOCALE: Final = 0x409

ANONYMOUS_LOGIN: Final = 0x20
SKIP_OBJECTS: Final = 0x1
EPHEMERAL_IDS: Final = 0x2
ADDRESS_CREATION_TEMPLATES: Final = 0x2
UNICODE_STRINGS: Final = 0x4
UNICODE_PROPERTY_TYPES: Final = 0x80000000
TI_TEMPLATE: Final = 0x1
TI_SCRIPT: Final = 0x4
TI_EMT: Final = 0x10
TI_HELPFILE_NAME: Final = 0x20
TI_HELPFILE_CONTENTS: Final = 0x40
DELETE_LINKS: Final = 0x1

DT_MAILUSER: Final = 0
DT_DISTLIST: Final = 1
DT_AGENT: Final = 3
DT_CONTAINER: Final = 0x100
OBJECT_TYPE_MAILUSER: Final = 6
OBJECT_TYPE_DISTLIST: Final = 8

SUCCESS: Final = 0
UNBIND_SUCCESS: Final = 1
UNBIND_FAILURE: Final = 2
ERRORS_RETURNED: Final = 0x00040380
"""The row is there, and some of its values are of type PtypErrorCode."""
GENERAL_FAILURE: Final = 0x80004005
NOT_SUPPORTED: Final = 0x80040102
NOT_FOUND: Final = 0x8004010F
LOGON_FAILED: Final = 0x80040111
TOO_COMPLEX: Final = 0x80040117
INVALID_CODEPAGE: Final = 0x8004011E
TABLE_TOO_BIG: Final = 0x80040403
INVALID_BOOKMARK: Final = 0x80040405
ACCESS_DENIED: Final = 0x80070005
INVALID_PARAMETER: Final = 0x80070057

DEFAULT_COLUMNS: Final = (0xFFFD0003, 0x0FFE0003, 0x39000003, 0x3001001E, 0x3A1A001E, 0x3A18001E, 0x3A19001E)
"""What a server takes for prop_tags None where it returns rows of a table ([MS-OXNSPI] 3.1.4.1.8)."""
