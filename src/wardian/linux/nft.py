"""`nft`: rules as text, loaded in one transaction."""

from wardian.errors import HostFailed
from wardian.linux import process


async def load(what: str, text: str) -> None:
    """Apply all of the text or none of it (HostFailed with nft's first error)."""
    done = await process.run(["nft", "-f", "-"], stdin=text.encode())
    if done.status:
        lines = done.stderr.decode(errors="replace").splitlines()
        cause = next((line.partition("Error: ")[2] for line in lines if "Error: " in line), "")
        raise HostFailed(f"cannot {what}: {cause or ' '.join(lines) or 'it said nothing'} (`nft -f -`)")
