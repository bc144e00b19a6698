"""Which event loops the tests of a module run on."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Those that the module names in LOOP_FACTORIES, or else the ordinary one."""
    module = item.getparent(pytest.Module)
    ordinary = {"asyncio": asyncio.new_event_loop}
    return ordinary if module is None else getattr(module.obj, "LOOP_FACTORIES", ordinary)
