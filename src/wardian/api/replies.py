"""Answers: the envelopes of spec/rest-api.md section 3, and ETags."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from wardian.core.operations import Operation
from wardian.errors import WardianError

_encoder = msgspec.json.Encoder()


def _json(body: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        body=_encoder.encode(body), status=status, headers=headers, content_type="application/json"
    )


def sync(metadata: Any, *, etag: str = "", status: int = 200, location: str = "") -> web.Response:
    """A finished answer. etag: from `etag_of`; location: of what was made or renamed."""
    headers = {name: value for name, value in (("ETag", etag), ("Location", location)) if value}
    body = {
        "type": "sync",
        "status": "Success",
        "status_code": 200,
        "operation": "",
        "error_code": 0,
        "error": "",
        "metadata": metadata,
    }
    return _json(body, status, headers)


def empty() -> web.Response:
    """Success with nothing to tell."""
    return sync({})


def created(location: str) -> web.Response:
    """201: something was created or renamed."""
    return sync(None, status=201, location=location)


def operation(started: Operation) -> web.Response:
    """202: background work has begun. Only this answer carries the secrets of its streams."""
    body = {
        "type": "async",
        "status": "Operation created",
        "status_code": 100,
        "operation": started.url,
        "error_code": 0,
        "error": "",
        "metadata": started.render(),
    }
    return _json(body, 202, {"Location": started.url})


def error(failure: WardianError) -> web.Response:
    """The failure as clients expect it."""
    body = {"type": "error", "error": str(failure), "error_code": failure.status}
    return _json(body, failure.status, {"X-Content-Type-Options": "nosniff"})


class _File(web.FileResponse):
    """A file that the handler may have sent itself, to know when that is done: it is sent once."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None if self.prepared else await super().prepare(request)


def file(path: Path, **headers: str) -> web.FileResponse:
    """A file as it is, sent by the kernel."""
    content = {"Content-Type": "application/octet-stream"}
    return _File(path, headers=content | {k.replace("_", "-"): v for k, v in headers.items()})


def etag_of(writable: Any) -> str:
    """The ETag of an object, from the part of it that PUT replaces."""
    return hashlib.sha256(msgspec.json.encode(writable, order="deterministic")).hexdigest()
