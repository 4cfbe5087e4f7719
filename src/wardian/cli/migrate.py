"""Containers that go to another host: who connects to whom, and what is asked of each."""

from __future__ import annotations

import sys

from wardian.cli.create import pair
from wardian.cli.options import FlagError, Values
from wardian.cli.session import FINAL, OperationFailed, OperationLost, Session, container_url, is_protected
from wardian.client import config
from wardian.client.connection import ApiError, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wardian.client.config import Remote

FAILED = "Failed container migration:"
MODES = ("pull", "push", "relay")
STREAMS = ("control", "fs")
CANCELLED = "Cancelled"
KEPT_VOLATILE = "volatile.base_image"


class End:
    """One end: a host, and the name that the container has there."""

    def __init__(self, session: Session, text: str) -> None:
        self.remote: Remote
        self.remote, self.name = session.config.split(text)
        self.daemon, _ = session.server(text)

    def places(self) -> list[tuple[str, str]]:
        """(URL, certificate) of each way in which another host may reach this one."""
        about = self.daemon.get("/1.0")["environment"]
        found = [(f"https://{address}", about["certificate"]) for address in about["addresses"]]
        if self.remote.url.startswith("https:"):
            url = self.remote.url.rstrip("/")
            known = (url, config.pinned(self.remote.name) or "")
            found = [known, *(place for place in found if place[0] != url)]
        return found

    def cancel(self, operation: dict[str, Any]) -> None:
        """End an operation that nobody needs any more; it may have ended."""
        try:
            Connection(self.daemon.place).request("DELETE", f"/1.0/operations/{operation['id']}")
        except ApiError:
            return

    def see_off(self, operation: dict[str, Any]) -> None:
        """Wait for the end of an operation, however that is: the container is held until then."""
        try:
            self.ended(operation)
        except ApiError:
            return

    def ended(self, operation: dict[str, Any]) -> dict[str, Any]:
        """An operation once it has ended."""
        found: dict[str, Any] = Connection(self.daemon.place).get(f"/1.0/operations/{operation['id']}/wait")
        return found


def ends(session: Session, words: list[str]) -> tuple[End, End]:
    """The two ends that the words of a command name; `.`, or nothing, is the same name on our host."""
    target = words[1] if len(words) > 1 else "."
    if target == ".":
        target = f"{session.config.default}:"
    return End(session, words[0]), End(session, target)


def devices(source: dict[str, Any], settings: list[str], pool: str) -> dict[str, dict[str, str]]:
    """The devices that `-d NAME,KEY=VALUE` and `-s POOL` change, each as a whole."""
    expanded: dict[str, dict[str, str]] = source["expanded_devices"]
    if pool:
        root = next((n for n, d in expanded.items() if d["type"] == "disk" and d.get("path") == "/"), "root")
        expanded = {**expanded, root: {"type": "disk", "path": "/", **expanded.get(root, {})}}
        settings = [*settings, f"{root},pool={pool}"]
    changed: dict[str, dict[str, str]] = {}
    for text in settings:
        name, comma, setting = text.partition(",")
        key, equals, value = setting.partition("=")
        if not comma or not equals:
            raise FlagError(f'invalid value "{text}" for flag -d: it is like eth0,name=eth1')
        if name not in expanded:
            raise ApiError(f'the source has no device "{name}"')
        changed.setdefault(name, dict(expanded[name]))[key] = value
    return {name: {k: v for k, v in device.items() if v} for name, device in changed.items()}


# --- what is asked for -------------------------------------------------------------------------


def copy(session: Session, values: Values, source: End, target: End) -> None:
    """Copy a container or a snapshot to another host."""
    found = source.daemon.get(container_url(source.name))
    kept = {k: v for k, v in found["config"].items() if not k.startswith("volatile.") or k == KEPT_VOLATILE}
    request = _request(values, source, target, found, {**kept, "volatile.apply_template": "copy"})
    request["ephemeral"] = values.ephemeral
    request["source"]["refresh"] = values.refresh
    _Transfer(session, values, source, target, request).run()


def move(session: Session, values: Values, source: End, target: End) -> None:
    """Copy a container as it is, one that runs with its memory, then delete it where it was."""
    found = source.daemon.get(container_url(source.name))
    status = found.get("status", "Stopped")
    if status not in ("Stopped", "Running"):
        raise ApiError(f'container "{source.name}" is {status.lower()}: let it run, or stop it first')
    if is_protected(found):
        raise ApiError(f'container "{source.name}" is protected by "security.protection.delete": it stays')
    request = _request(values, source, target, found, found["config"])
    request["ephemeral"] = found["ephemeral"]
    request["source"]["live"] = status == "Running" or found.get("stateful", False)
    _Transfer(session, values, source, target, request).run()
    try:
        session.run(source.daemon, "DELETE", container_url(source.name), quiet=True)
    except ApiError as error:
        raise ApiError(
            f'"{request["name"]}" is complete on "{target.remote.name}", but "{source.name}" on '
            f'"{source.remote.name}" could not be deleted: {error}; delete one of the two'
        ) from None


def _request(
    values: Values, source: End, target: End, found: dict[str, Any], settings: dict[str, str]
) -> dict[str, Any]:
    if values.storage:
        target.daemon.get(f"/1.0/storage-pools/{quote(values.storage)}")
    return {
        "name": target.name or source.name.partition("/")[0],
        "architecture": found["architecture"],
        "config": {**settings, **dict(pair(text) for text in values.config)},
        "devices": {**found["devices"], **devices(found, values.device, values.storage)},
        "profiles": [p for p in values.profile if p] if values.profile else found["profiles"],
        "description": found["description"],
        "source": {
            "type": "migration",
            "base-image": found["config"].get(KEPT_VOLATILE, ""),
            "container_only": values.instance_only or values.container_only,
        },
    }


# --- how it goes -------------------------------------------------------------------------------


class _Transfer:
    """One container on its way. `run` tries the modes until one of them connects."""

    def __init__(
        self, session: Session, values: Values, source: End, target: End, request: dict[str, Any]
    ) -> None:
        if values.mode and values.mode not in MODES:
            raise FlagError(f'invalid value "{values.mode}" for flag --mode: {", ".join(MODES)}')
        self._session, self._source, self._target, self._request = session, source, target, request
        self._modes = (values.mode,) if values.mode else MODES
        self._offer = {
            "migration": True,
            "container_only": request["source"]["container_only"],
            "bandwidth": values.limit,
            "live": request["source"].get("live", False),
        }
        self._failures: list[tuple[str, str]] = []

    def run(self) -> None:
        """Transfer it; ApiError if that fails, or if in no mode the hosts reach each other."""
        ways: dict[str, Callable[[], bool]] = {"pull": self._pull, "push": self._push, "relay": self._relay}
        for mode in self._modes:
            if self._failures and mode != self._modes[0]:
                url, error = self._failures[-1]
                sys.stderr.write(f"{error} ({url}); trying the mode {mode}\n")
            if ways[mode]():
                return
        if not self._failures:
            host = self._source if self._modes == ("pull",) else self._target
            raise ApiError(
                f'remote "{host.remote.name}" does not listen on the network; set core.https_address there, '
                "or use --mode=relay"
            )
        raise ApiError("\n".join([FAILED, *(f" - {url}: {error}" for url, error in self._failures)]))

    def _begin_sending(self) -> dict[str, Any]:
        begun: dict[str, Any] = self._source.daemon.request(
            "POST", container_url(self._source.name), self._offer
        )[0]["metadata"]
        return begun

    def _begin_receiving(self) -> dict[str, Any]:
        wanted = {**self._request, "source": {**self._request["source"], "mode": "push"}}
        begun: dict[str, Any] = self._target.daemon.request("POST", "/1.0/containers", wanted)[0]["metadata"]
        return begun

    def _pull(self) -> bool:
        """Have the target connect to the source. False if it could not."""
        for url, certificate in self._source.places():
            sending = self._begin_sending()
            wanted = {
                **self._request["source"],
                "mode": "pull",
                "operation": f"{url}/1.0/operations/{sending['id']}",
                "certificate": certificate,
                "secrets": {name: sending["metadata"][name] for name in STREAMS},
            }
            request = {**self._request, "source": wanted}
            try:
                self._session.run(self._target.daemon, "POST", "/1.0/containers", request)
            except OperationFailed as error:
                self._source.cancel(sending)
                self._source.see_off(sending)  # what was stopped there for this runs again then
                if not _is_unreachable(error.operation):
                    raise
                self._failures.append((url, str(error)))
                continue
            except OperationLost as error:
                self._source.cancel(sending)
                raise self._unknown(error) from None
            except BaseException:
                self._source.cancel(sending)
                raise
            self._source.see_off(sending)
            return True
        return False

    def _push(self) -> bool:
        """Have the source connect to the target. False if it could not."""
        for url, certificate in self._target.places():
            receiving = self._begin_receiving()
            wanted = {
                "operation": f"{url}/1.0/operations/{receiving['id']}",
                "certificate": certificate,
                "websockets": {name: receiving["metadata"][name] for name in STREAMS},
            }
            request = {**self._offer, "target": wanted}
            try:
                self._session.run(self._source.daemon, "POST", container_url(self._source.name), request)
            except OperationFailed as error:
                self._target.cancel(receiving)
                if _is_unreachable(error.operation):
                    self._target.see_off(receiving)
                    self._failures.append((url, str(error)))
                    continue
                self._settle(receiving, error)
                return True
            except OperationLost as error:  # of the source: the target's word counts
                self._target.cancel(receiving)
                self._settle(receiving, error)
                return True
            except BaseException:
                self._target.cancel(receiving)
                raise
            self._settle(receiving)
            return True
        return False

    def _relay(self) -> bool:
        """Connect to both, and pass on what they say."""
        from wardian.client.relay import relay
        from wardian.client.websocket import open_websockets

        sending, receiving = self._begin_sending(), None
        try:
            receiving = self._begin_receiving()
            pairs = zip(
                open_websockets(self._source.daemon.place, _streams(sending)),
                open_websockets(self._target.daemon.place, _streams(receiving)),
                strict=True,
            )
            relay(list(pairs))
        except BaseException:
            self._source.cancel(sending)
            if receiving is not None:
                self._target.cancel(receiving)
            raise
        self._settle(receiving)
        self._source.see_off(sending)
        return True

    def _settle(self, receiving: dict[str, Any], other: ApiError | None = None) -> None:
        """Raise what the target says of its end, if that was not well: its word counts, not the source's.

        other: how it ended for the source, if not well or not known.
        """
        try:
            finished = self._target.ended(receiving)
        except ApiError as error:
            raise self._unknown(other or error) from None
        if finished["status_code"] == FINAL:
            return
        if isinstance(other, OperationFailed):
            if CANCELLED in (finished["status"], other.operation["status"]):
                raise other
        elif other is not None:
            raise other
        raise OperationFailed(finished)

    def _unknown(self, error: ApiError) -> ApiError:
        """That the target has all of it or nothing, and nobody knows which."""
        return ApiError(
            f'{error}; look whether "{self._target.remote.name}" has "{self._request["name"]}": if so it is '
            f'complete; "{self._source.name}" was left on "{self._source.remote.name}"'
        )


def _is_unreachable(operation: dict[str, Any]) -> bool:
    """Whether it could not connect to the other host: another way may be open."""
    return bool((operation.get("metadata") or {}).get("unreachable"))


def _streams(operation: dict[str, Any]) -> list[str]:
    return [
        f"/1.0/operations/{operation['id']}/websocket?secret={operation['metadata'][name]}"
        for name in STREAMS
    ]
