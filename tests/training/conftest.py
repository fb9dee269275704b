"""Fixtures of the training tests; `data` is each module's own."""

import pytest


@pytest.fixture(scope="module")
def members(data):
    """Id of a category -> its objects in the module's data."""
    found = {}
    for item in data.objects:
        found.setdefault(item.category_id, []).append(item)
    return found
