"""The network listener."""

from typing import Protocol


class Listener(Protocol):
    """The API on the network: HTTPS on one address, or nowhere."""

    certificate: str
    """The server's certificate (PEM); empty while there is none."""

    async def move(self, address: str) -> None:
        """Listen on this address (as of core.https_address) instead of the present one; "": nowhere.

        HostFailed if it cannot be had; then the present one stays. Connections that are being
        answered go on.
        """

    def addresses(self) -> list[str]:
        """Where others can reach the API, as `host:port`; empty while it does not listen."""

    def drop(self, fingerprint: str) -> None:
        """End all connections whose peer has shown this certificate."""
