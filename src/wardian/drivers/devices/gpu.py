"""Device type `gpu`: the nodes of graphics cards: /dev/dri/cardN, /dev/dri/renderDN, and NVIDIA's own.

Read from sysfs: /sys/class/drm, and the files `vendor` and `device` of sysfs-bus-pci.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from wardian.drivers.devices import nodes
from wardian.drivers.devices.mounts import MountedDevice
from wardian.errors import InvalidInput
from wardian.model.plans import DevicePlan
from wardian.model.units import is_true
from wardian.ports.runtime import DeviceContext

WISHES = ("id", "vendorid", "productid", "pci")
NVIDIA = "10de"
NVIDIA_SHARED = ("nvidiactl", "nvidia-modeset", "nvidia-uvm", "nvidia-uvm-tools")
NVIDIA_CARDS = 64


class GpuDevice(MountedDevice):
    """Plans the nodes of the cards that fit; of all cards if no wish is set."""

    def __init__(self, drm: Path = Path("/sys/class/drm"), dev: Path = Path("/dev")) -> None:
        self._drm = drm
        self._dev = dev

    def plan(self, name: str, options: Mapping[str, str], around: DeviceContext) -> DevicePlan:
        """See ports.DeviceDriver."""
        cards = [card for card in self._cards() if _fits(card, options)]
        if not cards:
            if not is_true(options.get("required") or "true"):
                return DevicePlan(name)
            wish = ", ".join(f"{key} {options[key]}" for key in WISHES if options.get(key)) or "at all"
            raise InvalidInput(f'device "{name}": this host has no graphics card {wish}')
        found = [node for card in cards for node in _drm_nodes(card)]
        if any(_ids(card)[0] == NVIDIA for card in cards):
            found += self._nvidia_nodes()
        return nodes.plan(name, options, found, around)

    def _cards(self) -> list[Path]:
        """/sys/class/drm/cardN of each card, by number."""
        found = self._drm.glob("card*") if self._drm.is_dir() else iter(())
        numbered = [path for path in found if path.name.removeprefix("card").isdigit()]
        return sorted(numbered, key=lambda path: int(path.name.removeprefix("card")))

    def _nvidia_nodes(self) -> Iterator[nodes.Found]:
        for name in (*NVIDIA_SHARED, *(f"nvidia{number}" for number in range(NVIDIA_CARDS))):
            seen = nodes.look(self._dev / name)
            if seen is not None:
                yield nodes.Found(f"/dev/{name}", f"/dev/{name}", *seen)


def _ids(card: Path) -> tuple[str, str]:
    """Vendor and product, four hexadecimal digits each."""
    vendor, product = (nodes.text_of(card / "device" / file).lower() for file in ("vendor", "device"))
    return vendor.removeprefix("0x"), product.removeprefix("0x")


def _fits(card: Path, options: Mapping[str, str]) -> bool:
    vendor, product = _ids(card)
    present = {
        "id": card.name.removeprefix("card"),
        "vendorid": vendor,
        "productid": product,
        "pci": (card / "device").resolve().name,
    }
    wanted = {key: options[key].lower() for key in WISHES if options.get(key)}
    if len(wanted.get("pci", "").split(":")) == 2:
        wanted["pci"] = f"0000:{wanted['pci']}"  # the domain may be left out, as lspci does
    return all(present[key] == text for key, text in wanted.items())


def _drm_nodes(card: Path) -> Iterator[nodes.Found]:
    """The nodes of one card: its own, and the one for rendering alone."""
    for folder in sorted((card / "device" / "drm").glob("*")):
        numbers = nodes.text_of(folder / "dev")
        if numbers and folder.name.startswith(("card", "renderD")):
            path = f"/dev/dri/{folder.name}"
            yield nodes.Found(path, path, "char", *nodes.numbers(numbers))
