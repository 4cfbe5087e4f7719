"""The console of a container: the terminal that init has, and what it has shown (extension `console`)."""

from pathlib import Path
from typing import Any

from wardian.core import containers, exec
from wardian.core.host import Host
from wardian.core.operations import Operation
from wardian.errors import InvalidInput, NotFound
from wardian.model.requests import ConsoleRequest


async def attach(host: Host, name: str, request: ConsoleRequest) -> Operation:
    """Begin to connect the console with the streams `0` (both directions) and `control` of the operation."""
    if request.type != "console":
        raise InvalidInput(f'field "type": "{request.type}" is not supported (there is: console)')
    await containers.get(host, name)
    if name not in host.running:
        raise InvalidInput("Container is not running.")
    if name in host.frozen:
        raise InvalidInput("Container is frozen.")
    started = host.running[name]

    async def work(operation: Operation) -> dict[str, Any]:
        size = (request.width, request.height)
        return await exec.run_on_terminal(operation, size, lambda fds: host.runtime.console(started, fds))

    return host.operations.start(
        "Showing console",
        work,
        kind="websocket",
        sockets=("0", "control"),
        resources=containers.resources(name),
    )


async def log(host: Host, name: str) -> Path:
    """The file of what the console has shown since the start; NotFound if there is none."""
    await containers.get(host, name)
    path = host.runtime.log_folder(name) / "console.log"
    if not path.is_file():
        raise NotFound(f'container "{name}" has shown nothing on its console yet')
    return path


async def clear(host: Host, name: str) -> None:
    """Forget what the console has shown."""
    with open(await log(host, name), "r+b") as file:
        file.truncate()
