"""Short in `make test`; `make test-faults` asks for the campaign: more kills, flips and documents, and what takes minutes."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--campaign", action="store_true", help="all faults instead of a few of each kind")


@pytest.fixture(scope="session")
def campaign(request):
    """Whether this is the long form."""
    return request.config.getoption("--campaign", default=False)


def pytest_collection_modifyitems(config, items):
    """Leave out what is marked for the campaign alone."""
    if config.getoption("--campaign", default=False):
        return
    left = [item for item in items if item.get_closest_marker("campaign")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
