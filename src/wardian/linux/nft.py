"""`nft`: rules as text, loaded in one transaction."""

from wardian.linux import process


async def load(what: str, text: str) -> None:
    """Apply all of the text or none of it (HostFailed)."""
    await process.check(what, ["nft", "-f", "-"], stdin=text.encode())
