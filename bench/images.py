"""Images in and out, timed as whole commands: Wardian beside LXD and Incus in one run.

Each peer must be installed and initialised. The file is imported, launched from for the first time (which
unpacks it), exported and deleted, in turns. Prints medians (ms) and ratios, and writes all as JSON.

    python bench/images.py --file deb12.tar.xz --peer wardian=lxc --peer incus=incus -n 5
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from everyday import Peer, parse_peer, table

ALIAS, CONTAINER = "bench-image", "bench-first"


def round_of(peer: Peer, files: list[str]) -> Iterator[None]:
    """One round; yields after each command so that peers take turns."""
    peer.run("image import", "image", "import", *files, "--alias", ALIAS)
    yield
    peer.run("first launch (unpacks)", "launch", ALIAS, CONTAINER)
    yield
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        peer.run("image export", "image", "export", ALIAS, folder)
    yield
    peer.run("", "delete", "-f", CONTAINER)
    peer.run("image delete", "image", "delete", ALIAS)
    yield


def main() -> None:
    """Run all rounds and report."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--peer", action="append", type=parse_peer, required=True)
    options.add_argument(
        "--file", nargs="+", required=True, help="a tarball, or metadata and root file system"
    )
    options.add_argument("-n", type=int, default=5, metavar="ROUNDS")
    options.add_argument("--json", type=Path, default=Path("bench/results/images.json"))
    chosen = options.parse_args()
    peers: list[Peer] = chosen.peer
    for number in range(chosen.n):
        first = number % len(peers)
        for _ in zip(*(round_of(peer, chosen.file) for peer in peers[first:] + peers[:first]), strict=True):
            pass
    print(table(peers))
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps({peer.name: peer.times for peer in peers}, indent=1))


if __name__ == "__main__":
    main()
