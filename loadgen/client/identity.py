"""What Outlook tells the server about itself when it connects ([MS-OXCRPC] 3.1.4.1 and 3.2.4.1)."""

from hashlib import md5

from loadgen.client.account import Account
from loadgen.wire.auxiliary import (
    CLASSIC_ONLINE,
    AuxiliaryBlock,
    PerfClientInfo,
    PerfProcessInfo,
    PerfSessionInfoV2,
)

_ADAPTER_SPEED_KBIT = 1_000_000


def about_client(account: Account, client_mode: int = CLASSIC_ONLINE) -> tuple[AuxiliaryBlock, ...]:
    """The blocks that go with EcDoConnectEx; machine and ids follow from the account: no two are the same."""
    guid = md5(account.alias.encode(), usedforsecurity=False).digest()
    number = account.index & 0xFFFFFF
    return (
        PerfSessionInfoV2(session_id=1, session_guid=guid, connection_id=1),
        PerfProcessInfo(process_id=4_000 + number % 1_000, process_guid=guid, process_name="OUTLOOK.EXE"),
        PerfClientInfo(
            adapter_speed=_ADAPTER_SPEED_KBIT,
            client_id=1,
            machine_name=f"PC{account.index:06d}",
            user_name=account.alias,
            client_ip=bytes((10,)) + number.to_bytes(3, "big"),
            client_ip_mask=bytes((255, 0, 0, 0)),
            adapter_name="Local Area Connection",
            mac_address=bytes((2, 0, 0)) + number.to_bytes(3, "big"),
            client_mode=client_mode,
        ),
    )
