import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.model import webcache

URL = "https://example.org/a"


@given(st.binary(max_size=100), st.text(max_size=20), st.floats(0, 2e9))
def test_a_document_comes_back_as_it_was(body: bytes, etag: str, now: float) -> None:
    kept = webcache.received(URL, body, {"ETag": etag, "Last-Modified": "x"}, now, "http://proxy")
    assert webcache.from_bytes(webcache.to_bytes(kept), URL) == kept


@given(st.binary(max_size=200))
def test_any_other_file_is_no_document(content: bytes) -> None:
    assert webcache.from_bytes(content, URL) is None


def test_a_file_that_is_cut_changed_or_of_another_url_is_no_document() -> None:
    whole = webcache.to_bytes(webcache.received(URL, b"body\nbody", {}, 1, ""))
    assert webcache.from_bytes(whole, URL + "b") is None
    assert all(webcache.from_bytes(whole[:end], URL) is None for end in range(len(whole)))
    assert webcache.from_bytes(whole[:-1] + b"x", URL) is None
    assert webcache.from_bytes(b"[" * 5000 + b"\n", URL) is None


@pytest.mark.parametrize(
    ("now", "proxy", "is_fresh"),
    [(100, "", True), (159, "", True), (160, "", False), (99, "", False), (100, "p", False)],
)
def test_freshness_ends_with_time_a_changed_clock_and_another_proxy(
    now: float, proxy: str, is_fresh: bool
) -> None:
    assert webcache.Kept(URL, b"", checked_at=100).is_fresh(now, 60, proxy) == is_fresh


def test_what_a_server_calls_its_version_is_sent_back_only_if_harmless() -> None:
    good = webcache.received(URL, b"", {"etag": '"a"', "last-modified": "b"}, 0, "")
    assert good.conditions() == {"If-None-Match": '"a"', "If-Modified-Since": "b"}
    bad = webcache.received(URL, b"", {"etag": "a\r\nX: y", "last-modified": "x" * 300}, 0, "")
    assert bad.conditions() == {}


def test_nothing_of_a_url_is_in_the_name_of_its_file() -> None:
    assert len(webcache.filename("https://x/../../etc/passwd")) == 64
