"""What end-to-end tests share: a mock organisation for each module that asks for one."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.mock_organisation import MockOrganisation, running_mock


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockOrganisation]:
    """The default topology: every role once, but mailboxes on two servers."""
    with running_mock(tmp_path_factory.mktemp("mock")) as started:
        yield started
