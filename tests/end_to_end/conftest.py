"""What end-to-end tests share: a mock organisation for each module, and the loop of a run."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest
import uvloop

from tests.end_to_end.mock_organisation import MockOrganisation, running_mock


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Clients run on the loop that workers give them."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockOrganisation]:
    """The default topology: every role once, but mailboxes on two servers."""
    with running_mock(tmp_path_factory.mktemp("mock")) as started:
        yield started
