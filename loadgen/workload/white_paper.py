"""What the white paper on network traffic says that a user of its clients moves (table 5)."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from loadgen.client.client_type import ClientType
from loadgen.workload.profile import MessageProfile

MESSAGE_OCTETS: Final = 50_000


class TrafficRow(Struct, frozen=True):
    """A row of the traffic table: kB of a user and day, by profile."""

    name: str
    label: str
    """The name in reports, where it stands beside the words "white paper"."""
    of_profile: Mapping[tuple[int, int], tuple[int, int]]
    """(sent, received) to (sending, aggregate), of messages of 50 kB."""
    of_message: tuple[float, float]
    """kB of one message sent and one received, for profiles that the table has not."""
    of_day: float = 0.0
    """kB that a day costs without any message."""

    def printed(self, profile: MessageProfile) -> tuple[int, int] | None:
        """The table's own figures, sending and aggregate; None for a profile that it has not."""
        if profile.message_size != MESSAGE_OCTETS:
            return None
        return self.of_profile.get((profile.sent_per_day, profile.received_per_day))

    def kb_per_day(self, profile: MessageProfile) -> float:
        """Sending and aggregate together, of any profile."""
        printed = self.printed(profile)
        if printed is not None:
            return sum(printed)
        per_day = profile.sent_per_day, profile.received_per_day
        per_message = sum(each * count for each, count in zip(self.of_message, per_day, strict=True))
        return self.of_day + per_message * profile.message_size / MESSAGE_OCTETS


ANYWHERE: Final = TrafficRow(
    "Outlook Anywhere",
    "cached mode",
    {(5, 20): (310, 1_230), (10, 40): (620, 2_470), (20, 80): (1_230, 4_940), (30, 120): (1_850, 7_400)},
    (61.7, 61.7),
)
"""Outlook 2007 in cached mode: there are no figures for online mode over Outlook Anywhere."""
CACHED_INSIDE: Final = TrafficRow(
    "Outlook 2007 cached, inside",
    "cached, inside",
    {(5, 20): (260, 1_040), (10, 40): (520, 2_080), (20, 80): (1_040, 4_160), (30, 120): (1_560, 6_240)},
    (52.0, 52.0),
)
ONLINE_INSIDE: Final = TrafficRow(
    "Outlook 2007 online, inside",
    "online, inside",
    {(5, 20): (190, 2_510), (10, 40): (380, 5_030), (20, 80): (760, 10_050), (30, 120): (1_140, 15_070)},
    (38.0, 125.6),
)
WEB_ACCESS: Final = TrafficRow(
    "Outlook Web Access 2007",
    "web access",
    {
        (5, 20): (800, 5_390),
        (10, 40): (1_600, 10_620),
        (20, 80): (3_200, 21_070),
        (30, 120): (4_800, 31_530),
    },
    (160.0, 261.4),
    162.7,
)
TRAFFIC: Final = (ANYWHERE, CACHED_INSIDE, ONLINE_INSIDE, WEB_ACCESS)
"""The whole table."""


def row_of(client: ClientType) -> TrafficRow:
    """The row of the clients that a client type is likest: by how it connects, then by whether it caches."""
    if client.transport == "http":
        return ANYWHERE
    return ONLINE_INSIDE if client.cached is None else CACHED_INSIDE
