"""Tags of properties that only the address book has ([MS-OXPROPS]); all others stand in ``properties.py``."""

from typing import Final

PidTagTemplateData: Final = 0x00010102
PidTagScriptData: Final = 0x00040102
PidTagDepth: Final = 0x30050003
PidTagContainerFlags: Final = 0x36000003
PidTagAnr: Final = 0x360C001F
"""In a restriction alone: whatever a name may be resolved by."""
PidTagDisplayTypeEx: Final = 0x39050003
PidTagInitials: Final = 0x3A0A001F
PidTagPrimaryTelephoneNumber: Final = 0x3A1A001F
PidTagTransmittableDisplayName: Final = 0x3A20001F
PidTagAddressBookHomeMessageDatabase: Final = 0x8006001F
PidTagAddressBookProxyAddresses: Final = 0x800F101F
PidTagAddressBookNetworkAddress: Final = 0x8170101F
PidTagAddressBookObjectGuid: Final = 0x8C6D0102
PidTagAddressBookIsMaster: Final = 0xFFFB000B
PidTagAddressBookParentEntryId: Final = 0xFFFC0102
PidTagAddressBookContainerId: Final = 0xFFFD0003
