"""Open files: as many as there are connections, or fewer connections."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from api.process import with_open_files
from tests.unit.api.support import make_settings

pytestmark = pytest.mark.unit


@pytest.fixture
def limit() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_is_raised_as_far_as_needed(limit: int) -> None:
    if 0 <= limit < 2_000:
        pytest.skip("this machine lets no process have more files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limit))
    settings = with_open_files(make_settings(max_connections=1_000))
    assert settings.service.max_connections == 1_000
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 1_000


def test_where_there_cannot_be_so_many_files_there_are_fewer_connections(limit: int) -> None:
    if limit == resource.RLIM_INFINITY:
        pytest.skip("this machine has no limit")
    settings = with_open_files(make_settings(max_connections=100_000))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert settings.service.max_connections <= soft
    assert (settings.service.max_connections == 100_000) == (soft >= 100_500)
