"""The reference pages are what the tables say."""

import re
import subprocess
import sys
from pathlib import Path

from wardian.model import device_table, devices, keys, network, pool_keys, server_keys

DOCS = Path(__file__).parents[3] / "docs"


def test_the_reference_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_key_and_every_property_is_explained() -> None:
    configuration = (DOCS / "reference" / "configuration.md").read_text()
    assert [key.name for key in keys.KEYS if f"| `{key.name}` |" not in configuration] == []
    page = (DOCS / "reference" / "devices.md").read_text()
    options = [option for kind in (*devices.TYPES, *device_table.NIC_TYPES) for option in kind.options]
    assert [option.name for option in options if f"| `{option.name}` |" not in page] == []
    assert all(
        help.endswith(".") for help in [row.help for row in keys.KEYS] + [row.help for row in options]
    )


def test_every_property_of_a_device_is_tested() -> None:
    tests = "".join(path.read_text() for path in DOCS.parent.glob("tests/*/**/test_*.py"))
    kinds = (*devices.TYPES, *device_table.NIC_TYPES)
    untested = [
        f"{kind.name} {option.name}"
        for kind in kinds
        for option in kind.options
        if not re.search(rf"""["' ,{{]{re.escape(option.name)}(=|["']|: )""", tests)
    ]
    assert untested == []


def test_every_key_has_a_test_and_every_live_one_a_test_on_a_real_container() -> None:
    """A key is tested where its name is: families by their beginning."""
    tests = DOCS.parent / "tests"
    system = "".join(path.read_text() for path in sorted((tests / "system").glob("*.py")))
    unit = "".join(path.read_text() for path in sorted((tests / "unit").rglob("*.py")))
    names = {key.name: key.name.partition("*")[0] for key in keys.KEYS if "profile" in key.scope}
    untested = [name for name, part in names.items() if part not in unit + system]
    assert [name for name in untested if not name.startswith("snapshots.")] == []
    live = [key.name for key in keys.KEYS if key.name in names and key.live in ("yes", "exec")]
    assert [name for name in live if names[name] not in system] == []


def test_every_key_of_the_server_networks_and_pools_is_explained_and_tested() -> None:
    """Tested: beyond what is accepted, named with a value in a test of what it does."""
    page = (DOCS / "reference" / "server.md").read_text()
    named = [*(key.name for key in server_keys.KEYS if key.used)]
    named += [key.name for key in (*network.KEYS, *pool_keys.KEYS)]
    assert [name for name in named if f"| `{name}` |" not in page] == []
    tests = "".join(path.read_text() for path in DOCS.parent.glob("tests/*/**/*.py"))
    assert [name for name in named if name.removesuffix("*") not in tests] == []
