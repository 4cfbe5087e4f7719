"""What may be asked of files, and that actions free them."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.fakes import FakeFiles, FakeStorage
from wardian.core import containers, files, pools
from wardian.core.host import Host
from wardian.core.pools import PoolWrite
from wardian.errors import InvalidInput
from wardian.model.requests import ContainerCreate, ContainerSource
from wardian.ports.storage import Volume


@pytest.mark.parametrize(
    ("text", "mode"), [("", None), ("0644", 0o644), ("644", 0o644), ("0o4755", 0o4755), ("7", 7)]
)
def test_modes_are_octal(text: str, mode: int | None) -> None:
    assert files.checked_mode(text) == mode


@pytest.mark.parametrize("text", ["8", "rw", "-1", "0x1ff", "10000", "1777777", "0o", "٧"])
def test_other_modes_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not an octal mode"):
        files.checked_mode(text)


def test_ids() -> None:
    assert (files.checked_id("", "X"), files.checked_id("4294967294", "X")) == (None, 2**32 - 2)
    for text in ("-1", "4294967295", "root", "1.0", "٧"):
        with pytest.raises(InvalidInput):
            files.checked_id(text, "X")


def test_paths() -> None:
    assert (files.checked_path("/etc/x"), files.checked_path("etc/x"), files.checked_path("/")) == (
        "etc/x",
        "etc/x",
        "",
    )
    for text in ("", "a\0b", "x" * 5000):
        with pytest.raises(InvalidInput):
            files.checked_path(text)


async def test_an_action_on_a_stopped_container_frees_its_files_first(host: Host) -> None:
    host.operations.before_action = lambda name, action: files.before_action(host, name, action)
    assert isinstance(host.files, FakeFiles)
    async with host.operations.lock("c1", "delete"):
        assert host.files.left == ["c1"]
    async with host.operations.lock("c2", "update"):
        assert host.files.left == ["c1"]


async def test_what_was_mounted_for_files_is_unmounted_before_an_action(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start whose templates found the mount of `file pull` failed: Value too large for its type."""
    await pools.create(host, PoolWrite(name="default", driver="dir"))
    made = await containers.create(
        host, ContainerCreate(source=ContainerSource(type="none"), name="c1", profiles=[])
    )
    await made.finished.wait()
    unmounted: list[Volume] = []

    async def unmount(_: FakeStorage, volume: Volume) -> None:
        unmounted.append(volume)

    @contextlib.asynccontextmanager
    async def enter(_: object) -> AsyncIterator[object]:
        yield object()

    monkeypatch.setattr(FakeStorage, "unmount", unmount)
    monkeypatch.setattr(host.files, "enter", enter)
    host.operations.before_action = lambda name, action: files.before_action(host, name, action)
    c1 = Volume("container", "c1")
    async with files.inside(host, "c1"):
        pass
    assert unmounted == [c1]
    async with contextlib.AsyncExitStack() as action:
        async with files.inside(host, "c1"):
            await action.enter_async_context(host.operations.lock("c1", "start"))
            assert unmounted == [c1, c1]
        assert unmounted == [c1, c1], "the start has mounted it anew by now"
    assert host.files_in_use == {}
