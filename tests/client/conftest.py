"""What tests of the client share: which event loops a module runs on, and that loops have no complaint."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from loadgen.client import outlook
from loadgen.client.client_type import ClientType

from .scripted_network import Person

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Those that the module names in LOOP_FACTORIES, or else the ordinary one."""
    module = item.getparent(pytest.Module)
    ordinary = {"asyncio": asyncio.new_event_loop}
    return ordinary if module is None else getattr(module.obj, "LOOP_FACTORIES", ordinary)


@pytest.fixture
async def no_complaints() -> AsyncIterator[None]:
    """The loop has nothing to complain of: no callback raised, and no outcome was left unseen."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


@pytest.fixture
def person_of(monkeypatch) -> Callable[..., Person]:
    def make(
        kind: str | ClientType = "outlook2007-online-anywhere",
        *,
        startup: bool = True,
        directory_server: str = "",
        referred: dict[int, str] | None = None,
    ) -> Person:
        person = Person(kind, startup=startup, directory_server=directory_server, referred=referred)
        monkeypatch.setattr(outlook, "open_virtual_connection", person.network.open)
        monkeypatch.setattr(outlook, "open_service", person.network.open_inside)
        return person

    return make
