"""A root file system out of another one and the difference between them (VCDIFF, RFC 3284), by xdelta3."""

import shutil
from pathlib import Path

from wardian.drivers.rootfs import unpack
from wardian.errors import InvalidInput
from wardian.model.idmap import IdMap

PROGRAM = "xdelta3"


def is_possible() -> bool:
    """Whether this host has the program."""
    return shutil.which(PROGRAM) is not None


async def patch(base: Path, delta: Path, target: Path, size: int, idmap: IdMap) -> None:
    """See ports.Rootfs. The program sees the old file, and the folder of the other two."""
    inside = [f"/target/{path.name}" for path in (delta, target)]
    argv = ["prlimit", f"--fsize={size}", PROGRAM, "-d", "-s", "/archive", *inside]
    status, _, stderr = await unpack.run(argv, idmap, target=delta.parent, archive=base)
    if status or not target.is_file() or target.is_symlink():
        line = (stderr.decode(errors="replace").strip().splitlines() or [f"status {status}"])[0]
        raise InvalidInput(f"the difference to the image that is here cannot be applied: {line}")
