"""Templates of an image, rendered into a root file system that is not trusted.

The engine has no loader and no globals but `config_get`; its work is bounded by fuel. Both ends are
opened by descriptor: the source beneath `templates/`, the target inside `rootfs/` as its own root.
"""

import os
import stat
from pathlib import Path

import minijinja

from wardian.errors import HostFailed, InvalidInput
from wardian.linux import files, syscalls
from wardian.ports import TemplateJob

TEMPLATE_BYTES = 1024 * 1024
FUEL = 1_000_000
RESOLVE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS


def render(text: str, job: TemplateJob) -> str:
    """The rendered text; InvalidInput naming the template and what is wrong in it."""
    config = job.context.get("config", {})
    assert isinstance(config, dict)

    def config_get(key: str, default: str = "") -> str:
        value: str = config.get(key, default)
        return value.rstrip("\n")

    engine = minijinja.Environment(undefined_behavior="lenient", fuel=FUEL, keep_trailing_newline=True)
    engine.auto_escape_callback = lambda _: False
    try:
        return engine.render_str(text, **dict(job.context), config_get=config_get)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f'template "{job.source}" for {job.target} cannot be rendered: {reason}'
        ) from error


def apply(folder: Path, job: TemplateJob) -> None:
    """Render one template of the volume into its root file system."""
    try:
        source = files.read_inside(folder / "templates", job.source, limit=TEMPLATE_BYTES)
    except (OSError, ValueError) as error:
        raise InvalidInput(f'template "{job.source}": {error}') from error
    if source is None:
        raise InvalidInput(f'template "{job.source}" for {job.target} is missing from the image')
    root = os.open(folder / "rootfs", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if job.create_only and files.exists_inside(str(folder / "rootfs"), job.target):
            return
        _write(root, job.target, render(source.decode(errors="replace"), job).encode())
    except OSError as error:
        raise HostFailed(f'cannot write template target "{job.target}": {error.strerror}') from error
    finally:
        os.close(root)


def _write(root: int, target: str, content: bytes) -> None:
    parts = [part for part in target.split("/") if part]
    for depth in range(1, len(parts)):
        _make_folder(root, "/".join(parts[:depth]))
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
    fd = syscalls.openat2(root, "/".join(parts), flags, resolve=RESOLVE, mode=0o644)
    with open(fd, "wb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise InvalidInput(f'template target "{target}" is not a file')
        os.ftruncate(fd, 0)
        file.write(content)


def _make_folder(root: int, path: str) -> None:
    parent, _, name = path.rpartition("/")
    flags = os.O_PATH | os.O_DIRECTORY
    try:
        os.close(syscalls.openat2(root, path, flags, resolve=RESOLVE))
        return
    except FileNotFoundError:
        pass
    above = syscalls.openat2(root, parent or ".", flags, resolve=RESOLVE)
    try:
        os.mkdir(name, 0o755, dir_fd=above)
    finally:
        os.close(above)
