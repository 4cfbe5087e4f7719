"""Images fetched as the difference to one that is here, made by the real xdelta3."""

import json
import shutil

from tests import streams
from tests.system.imagesite import Site, stored

NEW, OLD = "/20160501/root.squashfs", "20160401"


def copy_old(site: Site) -> None:
    """Have the older version in the store."""
    old = streams.sha256(*site.image(f"delta-{OLD}"))
    site.daemon.lxc("image", "copy", f"t:{old}", "local:")
    site.server.requests.clear()


def test_only_the_difference_is_fetched(site: Site) -> None:
    fingerprint = site.offer_delta()
    copy_old(site)
    site.daemon.lxc("image", "copy", "t:trusty", "local:", "--alias", "new")
    assert site.server.paths("/20160501/delta.vcdiff") and not site.server.paths(NEW)
    assert {fingerprint, f"{fingerprint}.rootfs"} < stored(site.daemon)
    site.daemon.lxc("launch", "new", "c1")
    assert site.daemon.lxc("exec", "c1", "--", "cat", "/etc/hostname") == "c1\n"


def test_without_the_older_version_all_is_fetched(site: Site) -> None:
    fingerprint = site.offer_delta()
    site.daemon.lxc("image", "copy", "t:trusty", "local:")
    assert site.server.paths(NEW) and not site.server.paths("/20160501/delta.vcdiff")
    assert stored(site.daemon) == {fingerprint, f"{fingerprint}.rootfs"}


def test_a_difference_that_leads_elsewhere_costs_nothing_but_time(site: Site) -> None:
    """Its own sha256 is as announced, so it is applied; what it makes is not believed."""
    fingerprint = site.offer_delta()
    copy_old(site)
    for wrong in (b"\xd6\xc3\xc4\x00 nonsense", b"nonsense", b""):
        site.server.content["/20160501/delta.vcdiff"] = wrong
        announce(site, wrong or b"x")
        site.daemon.lxc("image", "copy", "t:trusty", "local:")
        assert site.server.paths(NEW)
        assert {fingerprint, f"{fingerprint}.rootfs"} < stored(site.daemon)
        site.daemon.lxc("image", "delete", fingerprint)
        assert not any(name.startswith(".build") for name in stored(site.daemon))


def announce(site: Site, difference: bytes) -> None:
    """Have the lists say that this is the difference, and the daemon read them anew."""
    document = json.loads(site.server.content["/streams/v1/images.json"])
    item = document["products"]["trusty:amd64"]["versions"]["20160501"]["items"]["delta"]
    item |= {"sha256": streams.sha256(difference), "size": len(difference)}
    site.server.content["/streams/v1/images.json"] = json.dumps(document).encode()
    shutil.rmtree(site.daemon.folder / "lxd/cache/streams")
