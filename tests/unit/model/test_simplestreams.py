"""Reading what image servers say, and writing it: tables, and whatever hypothesis thinks of."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import streams
from wardian.errors import InvalidInput, NotFound
from wardian.model import simplestreams as s
from wardian.model import streamtree

SHA = "ab" * 32


def products(**changes: Any) -> dict[str, Any]:
    versions = {"20160401": streams.version("a", b"meta", b"root")}
    return {"trusty": streams.product(versions, **changes)}


def parse(content: dict[str, Any]) -> list[s.Offer]:
    return s.parse_products(json.dumps({"products": content}).encode())


def catalogue(content: dict[str, Any], server: str = "https://x", native: str = "x86_64") -> s.Catalogue:
    return s.Catalogue(server, parse(content), native)


def test_an_offer_has_everything_that_the_lists_say() -> None:
    (offer,) = parse(products())
    assert offer.fingerprint == streams.sha256(b"meta", b"root")
    assert offer.architecture == "x86_64"
    assert offer.files == (
        s.File("a/lxd.tar.xz", streams.sha256(b"meta"), 4),
        s.File("a/root.squashfs", streams.sha256(b"root"), 4),
    )
    assert (offer.size, offer.filename) == (8, "lxd.tar.xz")
    assert offer.properties == {
        "os": "ubuntu",
        "release": "trusty",
        "version": "14.04",
        "architecture": "amd64",
        "label": "release",
        "serial": "20160401",
        "description": "ubuntu 14.04 LTS amd64 (release) (20160401)",
    }
    assert offer.created_at == datetime(2016, 4, 1, tzinfo=UTC)
    assert offer.expires_at == datetime(2019, 4, 17, tzinfo=UTC)


def item(ftype: str, **changes: Any) -> dict[str, Any]:
    return {"ftype": ftype, "path": f"p/{ftype}", "sha256": SHA, "size": 1, **changes}


META = item("lxd.tar.xz", combined_sha256="1" * 64)
BOTH = META | {"combined_squashfs_sha256": "2" * 64, "combined_rootxz_sha256": "3" * 64}
ITEMS: dict[str, tuple[list[dict[str, Any]], str, list[str]]] = {
    "squashfs first": ([BOTH, item("root.tar.xz"), item("squashfs")], "2" * 64, ["lxd.tar.xz", "squashfs"]),
    "root.tar.xz": ([BOTH, item("root.tar.xz")], "3" * 64, ["lxd.tar.xz", "root.tar.xz"]),
    "old field": ([META, item("root.tar.xz")], "1" * 64, ["lxd.tar.xz", "root.tar.xz"]),
    "incus": ([BOTH | {"ftype": "incus.tar.xz"}, item("squashfs")], "2" * 64, ["lxd.tar.xz", "squashfs"]),
    "unified": ([item("lxd_combined.tar.gz")], SHA, ["lxd_combined.tar.gz"]),
    "unified incus": ([item("incus_combined.tar.gz")], SHA, ["incus_combined.tar.gz"]),
    "disks are left out": (
        [BOTH, item("disk-kvm.img"), item("squashfs")],
        "2" * 64,
        ["lxd.tar.xz", "squashfs"],
    ),
    "a disk alone": ([BOTH, item("disk-kvm.img"), item("disk1.img"), item("uefi1.img")], "", []),
    "deltas are left out": ([BOTH, item("squashfs.vcdiff", delta_base="20150101")], "", []),
    "no combined hash": ([item("lxd.tar.xz"), item("squashfs")], "", []),
    "bad combined hash": ([META | {"combined_sha256": "../x"}, item("squashfs")], "", []),
    "no root": ([BOTH], "", []),
    "no metadata": ([item("squashfs")], "", []),
    "nothing": ([], "", []),
}


@pytest.mark.parametrize("case", ITEMS)
def test_items_of_a_version_make_one_image_or_none(case: str) -> None:
    items, fingerprint, files = ITEMS[case]
    version = {"items": {f"key {number}": entry for number, entry in enumerate(items)}}
    found = parse({"p": streams.product({"20160401": version})})
    assert [offer.fingerprint for offer in found] == ([fingerprint] if fingerprint else [])
    assert [file.path.removeprefix("p/") for offer in found for file in offer.files] == files


@pytest.mark.parametrize(
    "changes",
    [
        {"path": ""},
        {"path": "/etc/passwd"},
        {"path": "../x"},
        {"path": "a/../../x"},
        {"path": "a//b"},
        {"path": "./a"},
        {"path": "https://example.org/x"},
        {"path": "a\\b"},
        {"path": "a?b"},
        {"path": "a%2e%2e/b"},
        {"path": "a\nb"},
        {"path": "a" * 3000},
        {"path": 7},
        {"sha256": ""},
        {"sha256": "AB" * 32},
        {"sha256": SHA + "0"},
        {"sha256": None},
        {"size": 0},
        {"size": -1},
        {"size": 2**40},
        {"size": 2**80},
        {"size": "1"},
        {"ftype": None},
    ],
    ids=str,
)
def test_an_item_that_cannot_be_is_left_out(changes: dict[str, Any]) -> None:
    good = {"items": {"a": BOTH, "b": item("squashfs")}}
    bad = {"items": {"a": BOTH, "b": item("squashfs") | changes}}
    found = parse({"p": streams.product({"20160401": bad, "20160402": good})})
    assert [offer.properties["serial"] for offer in found] == ["20160402"]


@pytest.mark.parametrize(
    "name", ["", "x", "2016", "20161301", "20160401/..", "20160401\n", "20160401" + "0" * 80]
)
def test_a_version_without_a_date_is_left_out(name: str) -> None:
    assert parse({"p": streams.product({name: streams.version("a", b"m", b"r")})}) == []


def test_unknown_architectures_and_broken_products_are_left_out() -> None:
    good = products()
    bad: dict[str, Any] = {"q": streams.product({}, arch="z80"), "r": 1, "s": {"versions": {}}, "t": []}
    bad |= {"u": streams.product({"20160401": []}), "v": streams.product({}, aliases=["x"])}
    assert len(parse(good | bad)) == 1


NAMES = {
    "14.04": "20160402",
    "14.04/amd64": "20160402",
    "trusty": "20160402",
    "default": "20160402",
    "trusty/i386": "20160403",
}


def two_architectures() -> dict[str, Any]:
    def versions(arch: str, *serials: str) -> dict[str, Any]:
        return {n: streams.version(f"{arch}/{n}", arch.encode(), n.encode()) for n in serials}

    return {
        "a": streams.product(versions("amd64", "20160401", "20160402", "20150101")),
        "b": streams.product(versions("i386", "20160403"), arch="i386"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_aliases_mean_the_newest_image(name: str) -> None:
    offer, by_alias = catalogue(two_architectures()).find(name)
    assert (offer.properties["serial"], by_alias) == (NAMES[name], True)


def test_aliases_without_architecture_are_those_of_this_machine() -> None:
    found = catalogue(two_architectures(), native="i686")
    assert found.find("trusty")[0].properties["architecture"] == "i386"
    assert found.names_of(found.find("trusty")[0]) == [
        *("14.04", "14.04/i386", "trusty", "trusty/i386", "default", "default/i386")
    ]
    assert "trusty" not in catalogue(two_architectures(), native="s390x").names


def test_serials_are_compared_by_number() -> None:
    versions = {n: streams.version(n, n.encode(), b"r") for n in ("20160401.9", "20160401.10")}
    found = catalogue({"a": streams.product(versions)})
    assert found.find("trusty")[0].properties["serial"] == "20160401.10"


def test_ubuntu_s_servers_leave_their_name_out_of_aliases() -> None:
    content = products(aliases="ubuntu/trusty,x")
    assert "trusty" in catalogue(content, "https://cloud-images.ubuntu.com/releases").names
    assert "ubuntu/trusty" in catalogue(content).names


def test_fingerprints_may_be_shortened() -> None:
    found = catalogue(two_architectures())
    offer = found.offers[0]
    assert found.find(offer.fingerprint[:10]) == (offer, False)
    assert found.find(offer.fingerprint) == (offer, False)
    versions = {
        f"2016040{n}": {"items": {"a": item("lxd_combined.tar.gz", sha256=f"{n}" * 64)}} for n in (1, 2)
    }
    versions["20160403"] = {"items": {"a": item("lxd_combined.tar.gz", sha256="1" * 63 + "0")}}
    found = catalogue({"a": streams.product(versions)})
    assert found.find("2")[0].properties["serial"] == "20160402"
    with pytest.raises(InvalidInput, match="matches more than one image"):
        found.find("111")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("trust", "did you mean trusty or trusty/i386 or trusty/amd64"),
        ("14.4", "did you mean 14.04"),
        ("gentoo", "`lxc image list`"),
        ("x\ny" * 100, "`lxc image list`"),
    ],
)
def test_an_unknown_name_tells_its_neighbours(text: str, hint: str) -> None:
    with pytest.raises(NotFound) as caught:
        catalogue(two_architectures()).find(text)
    assert str(caught.value).startswith("The requested image couldn't be found.")
    assert hint in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


INDEXES: dict[str, tuple[Any, list[str]]] = {
    "good": (streams.index("a/b.json"), ["a/b.json"]),
    "other data": ({"index": {"a": {"datatype": "image-ids", "path": "a", "products": ["x"]}}}, []),
    "no products": ({"index": {"a": {"datatype": "image-downloads", "path": "a", "products": []}}}, []),
    "leaves the server": (streams.index("../a.json"), []),
    "broken entry": ({"index": {"a": 1, "b": streams.index("c")["index"]["images"]}}, ["c"]),
}


@pytest.mark.parametrize("case", INDEXES)
def test_the_index_names_lists_of_images(case: str) -> None:
    content, paths = INDEXES[case]
    assert s.parse_index(json.dumps(content).encode()) == paths


def test_an_index_names_a_bounded_number_of_lists() -> None:
    entry = streams.index()["index"]["images"]
    many = {"index": {str(n): {**entry, "path": str(n)} for n in range(1000)}}
    assert len(s.parse_index(json.dumps(many).encode())) == s.STREAMS


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b"\xff", b'{"index": 1}', b"[" * 100_000, b'{"products": null}']
)
def test_what_is_no_document_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="simplestreams format"):
        s.parse_index(text)
    with pytest.raises(InvalidInput, match="simplestreams format"):
        s.parse_products(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["products", "versions", "items", "arch", "20160401", "lxd.tar.xz", "path"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_product_is_read_or_left_out(content: Any) -> None:
    for offer in parse({"p": content, "q": products()["trusty"]}):
        assert all(s.is_safe_path(file.path) for file in offer.files)


@given(st.text(max_size=40))
def test_a_url_made_of_a_safe_path_stays_below_the_server(path: str) -> None:
    url = s.url_of("https://x/y", path)
    if s.is_safe_path(path):
        assert url.startswith("https://x/y/") and url.isascii() and "/../" not in f"{url}/"


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://example.org", "https://example.org"),
        ("https://example.org:8443/a/b/", "https://example.org:8443/a/b"),
        ("https://[::1]/", "https://[::1]"),
        ("http://example.org", None),
        ("file:///etc", None),
        ("https://", None),
        ("https://a:b@example.org", None),
        ("https://example.org/?q", None),
        ("https://example.org/#f", None),
        ("https://exa mple.org", None),
        ("https://example.org:99999", None),
        ("https://[::1", None),
        ("https://example.org/\r\nX: y", None),
        ("https://" + "a" * 3000, None),
        ("", None),
    ],
)
def test_a_server_is_reached_over_https_only(url: str, plain: str | None) -> None:
    if plain is None:
        with pytest.raises(InvalidInput):
            s.check_server(url)
    else:
        assert s.check_server(url) == plain


# --- writing -----------------------------------------------------------------------------------

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=12)


@st.composite
def published(draw: st.DrawFn) -> streamtree.Published:
    sha = st.text("0123456789abcdef", min_size=64, max_size=64)
    kinds = draw(st.sampled_from([("xz",), ("gz", "squashfs"), ("xz", "zst")]))
    files = tuple(streamtree.Content(kind, draw(sha), draw(st.integers(1, 2**30))) for kind in kinds)
    architecture = draw(st.sampled_from(["x86_64", "i686", "aarch64"]))
    names = draw(st.lists(WORDS, max_size=3))
    return streamtree.Published(
        fingerprint=files[0].sha256 if len(files) == 1 else draw(sha),
        architecture=architecture,
        created_at=draw(st.datetimes(datetime(1980, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))),
        properties=draw(st.dictionaries(st.sampled_from(["os", "release", "serial", "variant"]), WORDS)),
        aliases=streamtree.own_aliases(names, architecture)[0],
        files=files,
    )


@given(st.lists(published(), max_size=6, unique_by=lambda image: image.fingerprint))
def test_what_is_written_is_read_back(images: list[streamtree.Published]) -> None:
    written = streamtree.documents(images, datetime(2026, 1, 1, tzinfo=UTC))
    paths = s.parse_index(written[s.INDEX_PATH])
    offers = [offer for path in paths for offer in s.parse_products(written[path])]
    assert {offer.fingerprint for offer in offers} == {image.fingerprint for image in images}
    by_fingerprint = {image.fingerprint: image for image in images}
    for offer in offers:
        image = by_fingerprint[offer.fingerprint]
        assert offer.architecture == image.architecture
        assert [(f.sha256, f.size) for f in offer.files] == [(f.sha256, f.size) for f in image.files]
        assert offer.aliases == image.aliases
        assert [f.path for f in offer.files] == streamtree.paths(
            image.fingerprint, [f.kind for f in image.files]
        )


def test_the_architecture_is_no_part_of_an_alias_and_odd_names_are_told() -> None:
    assert streamtree.own_aliases(["a/amd64", "a", "b/i386", "c,d", "e:f"], "x86_64") == (
        ("a", "b/i386"),
        ["c,d", "e:f"],
    )


def with_delta(**changes: Any) -> tuple[s.Delta, ...]:
    """The differences of the second of two versions, one of which is changed."""
    versions = {
        "20160401": streams.version("a", b"meta", b"root"),
        "20160402": streams.version("b", b"meta", b"longer root"),
    }
    delta = item("squashfs.vcdiff", delta_base="20160401")
    versions["20160402"]["items"]["d"] = delta | changes
    offers = parse({"trusty": streams.product(versions)})
    assert offers[0].deltas == ()
    return offers[1].deltas


def test_a_difference_names_the_image_that_it_begins_with() -> None:
    file = s.File("p/squashfs.vcdiff", SHA, 1)
    assert with_delta() == (s.Delta(streams.sha256(b"meta", b"root"), file),)


@pytest.mark.parametrize(
    "changes",
    [
        {"delta_base": "20150101"},
        {"delta_base": None},
        {"delta_base": ""},
        {"size": len(b"longer root")},
        {"path": "../d"},
        {"sha256": "x"},
        {"ftype": "disk1.img.vcdiff"},
    ],
)
def test_a_difference_that_is_of_no_use_is_left_out(changes: dict[str, Any]) -> None:
    assert with_delta(**changes) == ()
