"""Who pays in the tests of the module's API."""

import pytest

from shared.testing.api import registered_merchant
from shared.testing.signing import SigningClient


@pytest.fixture
def merchant(db: None) -> SigningClient:
    return registered_merchant()


@pytest.fixture
def other(db: None) -> SigningClient:
    return registered_merchant("Other Ltd")
