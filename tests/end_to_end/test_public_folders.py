"""Clients in the public folders of the mock: what one posts or publishes, the next one reads and checks."""

import asyncio

import pytest

from loadgen.client.folder_posts import FolderPosts
from loadgen.errors import WrongAnswer
from tests.end_to_end.person import CLIENT_TYPES, Person, logged_on

FOLDERS = 4
"""Below All Public Folders."""

OUTLOOKS = [kind for kind in CLIENT_TYPES.values() if kind.connections.public_folder]
every_outlook = pytest.mark.parametrize("client_type", OUTLOOKS, ids=[kind.name for kind in OUTLOOKS])


@every_outlook
async def test_posts_are_seen_and_read_by_others_in_every_folder(mock, client_type):
    author, reader = (Person(mock, index, client_type, startup=False) for index in (0, 1))
    async with logged_on(author, reader):
        for number in range(FOLDERS):
            await author.client.post_public_folder(f"{client_type.name}.{number}")
        for _ in range(FOLDERS):
            await reader.client.browse_public_folder()
    assert author.lost == reader.lost == []


@every_outlook
async def test_a_post_that_somebody_has_changed_is_found_out(mock, client_type, monkeypatch):
    author, reader = (Person(mock, 0, client_type, startup=False) for _ in range(2))
    async with logged_on(author, reader):
        await author.client.post_public_folder(f"{client_type.name}.original")
        with monkeypatch.context() as forged:
            forged.setattr("loadgen.client.content._PARAGRAPH", b"<p>Forged.</p>\r\n")
            with pytest.raises(WrongAnswer, match=r"original are not what was posted"):
                await reader.client.browse_public_folder()


@every_outlook
async def test_free_busy_times_outlast_their_publisher(mock, client_type):
    for _ in range(2):
        person = Person(mock, 2, client_type, startup=False)
        async with logged_on(person):
            for _ in range(3):
                await person.client.publish_free_busy()
            await person.client.log_off()


async def test_the_server_tells_again_when_its_news_has_been_fetched(mock):
    client_type = CLIENT_TYPES["outlook2007-online-anywhere"]
    author, reader = (Person(mock, index, client_type, startup=False) for index in (0, 1))
    told = asyncio.Event()
    reader.client._on_public_news = told.set
    async with logged_on(author, reader), asyncio.timeout(20):
        public_folders = reader.client._public_folders[0]
        posts = FolderPosts(
            reader.account, public_folders.store, public_folders._logon, public_folders._folder_ids[0]
        )
        await posts.open()
        for round_number in range(3):
            for number in range(FOLDERS):
                await author.client.post_public_folder(f"news.{round_number}.{number}")
            await told.wait()
            told.clear()
            await reader.client.fetch_public_news()
