"""Fixtures of the unit tests: a host of fakes (tests/fakes.py)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fakes import Faults, make_host
from wardian.core.host import Host

settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("untimed")


@pytest.fixture
def faults() -> Faults:
    """Which step of the fakes fails; none unless a test says so."""
    return Faults()


@pytest.fixture
async def host(tmp_path: Path, faults: Faults) -> AsyncIterator[Host]:
    """A host that is ready, follows its containers and has nothing in it."""
    made = make_host(tmp_path / "lxd", faults)
    await made.watcher.open()
    yield made
    await made.operations.close()
    await made.watcher.close()
    made.events.close()
