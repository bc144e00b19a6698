"""Copies of mailboxes that survive what happens to their connections, against the whole organisation."""

import pytest

from loadgen.client.local_copy import LocalCopy
from loadgen.client.message import NewMessage
from loadgen.errors import ConnectionLost
from tests.end_to_end.person import CLIENT_TYPES, Person, logged_on
from tests.end_to_end.relay import relay_to

CACHED = [each for each in CLIENT_TYPES.values() if each.cached is not None and each.transport == "http"]
"""What goes past the proxy would go past what cuts the wire in front of it."""
MESSAGE_SIZE = 100_000
CUTS = 3
CUT_AFTER = 250_000
"""Bytes: so many that a message is there, even if it came with two answers of 96 kB, and not all of them."""

every_type = pytest.mark.parametrize("client_type", CACHED, ids=lambda client_type: client_type.name)


@every_type
async def test_a_download_goes_on_where_it_was_cut(mock, client_type):
    """Nothing comes twice, nothing is told of twice, and at the end the copy is the mailbox."""
    online = CLIENT_TYPES["outlook2007-online-anywhere"]
    index, copy = 1 + CACHED.index(client_type), LocalCopy()
    sender, witness = Person(mock, 0, online), Person(mock, index, online)
    keys = [f"cut-{client_type.name}-{number}" for number in range(8)]
    async with relay_to(mock, piece=4_000) as relay, logged_on(sender, witness):

        def reader_again() -> Person:
            return Person(mock, index, client_type, proxy=relay.proxy, startup=False, copy=copy)

        reader = reader_again()
        await reader.client.log_on()
        for key in keys:
            await sender.send(key, reader, size=MESSAGE_SIZE)
        arrived: list[NewMessage] = []
        while len(arrived) < len(keys):  # all of it is there before the first cut
            arrived += await witness.news()
        work = reader.client.fetch_news
        received = -reader.client.bytes_received
        for _ in range(CUTS):
            relay.cut_all_after(CUT_AFTER)
            with pytest.raises(ConnectionLost):
                await work()
            received += reader.client.bytes_received
            reader.client.abort()
            reader = reader_again()
            work = reader.client.log_on
        await reader.client.log_on()
        news: list[NewMessage] = []
        while len(news) < len(keys):
            news += await reader.client.fetch_news()
        received += reader.client.bytes_received
        assert [message.key for message in news] == keys
        wasted = CUTS * (CUT_AFTER - MESSAGE_SIZE)
        assert received < 1.1 * (len(keys) * MESSAGE_SIZE + wasted)
        for message in news:
            await reader.client.read_message(message.message_id, message.key)
        await reader.client.log_off()
        assert reader.lost == []
