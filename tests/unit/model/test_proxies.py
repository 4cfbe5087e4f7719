import pytest

from wardian.errors import InvalidInput
from wardian.model import proxies
from wardian.model.proxies import Proxies

BOTH = Proxies("http://plain:1", "tls:2", "")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://example.org/", "http://plain:1"),
        ("https://example.org/", "http://tls:2"),
        ("https://localhost/", ""),
        ("https://127.0.0.1:8443/", ""),
        ("https://[::1]/", ""),
        ("nonsense", ""),
    ],
)
def test_the_scheme_chooses_the_proxy_and_the_loopback_has_none(url: str, proxy: str) -> None:
    assert BOTH.of(url) == proxy


@pytest.mark.parametrize(
    ("ignore", "url", "is_ignored"),
    [
        ("*", "https://example.org/", True),
        ("example.org", "https://example.org/", True),
        ("example.org", "https://www.example.org/", True),
        (".example.org", "https://www.example.org/", True),
        ("*.example.org", "https://www.example.org/", True),
        ("EXAMPLE.org", "https://Example.ORG/", True),
        ("ample.org", "https://example.org/", False),
        ("a, example.org ,b", "https://example.org/", True),
        ("example.org:8443", "https://example.org:8443/", True),
        ("example.org:8443", "https://example.org/", False),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.1.2.3", "https://10.1.2.3/", True),
        ("[fd00::1]", "https://[fd00::1]/", True),
        ("", "https://example.org/", False),
        (",,", "https://example.org/", False),
    ],
)
def test_hosts_that_are_reached_without_a_proxy(ignore: str, url: str, is_ignored: bool) -> None:
    assert (BOTH._replace(ignore=ignore).of(url) == "") == is_ignored


def test_the_configuration_comes_before_the_environment() -> None:
    environment = {"HTTPS_PROXY": "upper", "https_proxy": "lower", "no_proxy": "x", "HTTP_PROXY": "h"}
    found = proxies.configured({"core.proxy_https": "set"}, environment)
    assert found == Proxies(http="h", https="set", ignore="x")
    assert proxies.configured({}, environment).https == "upper"


@pytest.mark.parametrize(
    "text", ["http://proxy:3128", "proxy:3128", "proxy", "http://u:p@proxy", "https://p:1"]
)
def test_a_proxy_is_a_url_or_a_host(text: str) -> None:
    proxies.check(text)


@pytest.mark.parametrize(
    "text", ["ftp://proxy", "http://", "a b", "http://p:x", "http://[::1", "prö", "p\n"]
)
def test_anything_else_is_no_proxy(text: str) -> None:
    with pytest.raises(InvalidInput, match="not the URL of a proxy"):
        proxies.check(text)


def test_a_variable_that_is_no_proxy_is_named_where_it_counts() -> None:
    environment = {"https_proxy": "socks5://proxy:1080", "no_proxy": "::what"}
    with pytest.raises(InvalidInput, match="variable https_proxy of the environment: not the URL"):
        proxies.configured({}, environment)
    assert proxies.configured({"core.proxy_https": "http://p"}, environment).https == "http://p"


def test_passwords_are_not_shown() -> None:
    assert proxies.shown("http://user:secret@proxy:3128") == "http://proxy:3128"
