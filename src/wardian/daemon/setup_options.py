"""The flags of `lxd init` (spec/cli.md section 9.3)."""

import argparse

HELP = "set up storage and network of a new daemon, by questions unless told otherwise"
EXAMPLES = """examples:
  lxd init
  lxd init --auto
  lxd init --auto --storage-backend btrfs --storage-create-loop 50
  lxd init --preseed < setup.yaml
"""


def add(made: argparse.ArgumentParser) -> None:
    """Add them to the grammar."""
    made.add_argument("--auto", action="store_true", help="no questions, good defaults")
    made.add_argument("--preseed", action="store_true", help="read the whole set-up as YAML from stdin")
    auto = made.add_argument_group("with --auto")
    auto.add_argument("--network-address", metavar="ADDR", help="address to bind LXD to")
    auto.add_argument("--network-port", metavar="PORT", type=_number, help="port to bind LXD to (8443)")
    auto.add_argument("--trust-password", metavar="PASSWORD", help="password for new clients")
    auto.add_argument("--storage-backend", metavar="NAME", help="zfs, btrfs, overlay, lvm or dir")
    auto.add_argument("--storage-create-device", metavar="DEVICE", help="make the pool on a block device")
    auto.add_argument(
        "--storage-create-loop", metavar="GB", type=_number, help="make the pool in a file of that size"
    )
    auto.add_argument(
        "--storage-pool", metavar="NAME", help="name of the pool (default); with zfs and lvm, what it is on"
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) < 2**31):
        raise argparse.ArgumentTypeError(f'"{text}" is not a number above 0')
    return int(text)


def given(options: argparse.Namespace) -> list[str]:
    """Which of those that go with --auto are there."""
    names = (
        "network_address",
        "network_port",
        "trust_password",
        "storage_backend",
        "storage_create_device",
        "storage_create_loop",
        "storage_pool",
    )
    return [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) is not None]
