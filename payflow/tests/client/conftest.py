"""The stand-in that clients are tried against."""

from collections.abc import Iterator

import pytest

from payflow.tests.client.stand_in import Platform, stand_in


@pytest.fixture
def platform() -> Iterator[Platform]:
    with stand_in() as platform:
        yield platform
