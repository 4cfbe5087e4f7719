"""drivers/downloads/requests.py: the certificate of a server, as a caller gives it."""

import pytest

from wardian.drivers.downloads import requests
from wardian.errors import InvalidInput


@pytest.mark.parametrize("text", ["x", "a\nb", "ünï", "-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_said_to_be_none(text: str) -> None:
    with pytest.raises(InvalidInput, match='field "certificate": not a certificate in PEM'):
        requests.tls(text)
