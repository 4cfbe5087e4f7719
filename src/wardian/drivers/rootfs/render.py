"""The text of a template, by a bounded engine (engine.py).

Templates are written for pongo2, which is close to Django's; the spellings that differ are changed
first. Fuel bounds the steps, but a few steps can make a text of any size (`"x" * 1000000000`), so only
plain templates, whose text cannot be larger than their values allow, are rendered in the daemon:
names, `config_get`, comparisons. Others are rendered by a program with little memory and time, which
costs some 50 ms.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from wardian.drivers.rootfs import engine
from wardian.errors import InvalidInput
from wardian.linux import process
from wardian.ports.rootfs import TemplateJob

TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_ATOM = (
    r"""(?:config_get\(\s*(?:"[^"\\]*"|'[^'\\]*')\s*(?:,\s*(?:"[^"\\]*"|'[^'\\]*'|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*)?\)"""
    r"""|"[^"\\]*"|'[^'\\]*'|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"""
)
_SHOW = rf"\{{\{{-?\s*{_ATOM}(?:\s*\|\s*(?:upper|lower|trim))*\s*-?\}}\}}"
_TEST = rf"(?:not\s+)?{_ATOM}(?:\s*(?:==|!=)\s*{_ATOM})?"
_STATEMENT = rf"\{{%-?\s*(?:(?:if|elif)\s+{_TEST}(?:\s+(?:and|or)\s+{_TEST})*|else|endif)\s*-?%\}}"
PLAIN_TAG = re.compile(rf"{_SHOW}|{_STATEMENT}|\{{#.*?#\}}", re.DOTALL)
"""What a plain template may hold besides text."""
_FILTER_ARGUMENT = re.compile(r"""\|\s*(\w+)\s*:\s*("[^"]*"|'[^']*'|[\w.]+)""")


def as_jinja(text: str) -> str:
    """The template with pongo2's spellings changed: `|filter:argument`, `&&`, `||`."""

    def change(match: re.Match[str]) -> str:
        tag = _FILTER_ARGUMENT.sub(_filter, match[0])
        return tag.replace("&&", " and ").replace("||", " or ") if tag.startswith("{%") else tag

    return TAG.sub(change, text)


def _filter(match: re.Match[str]) -> str:
    """A filter with its argument; pongo2's `default` stands in for everything empty."""
    name, argument = match.groups()
    return f"|{name}({argument}, true)" if name == "default" else f"|{name}({argument})"


def is_plain(text: str, context: Mapping[str, Any]) -> bool:
    """Whether a template (in Jinja's spelling) can be rendered without danger to our memory."""
    tags = TAG.findall(text)
    if not all(PLAIN_TAG.fullmatch(tag) for tag in tags):
        return False
    shown = sum(tag.startswith("{{") for tag in tags)
    longest: int = max(map(len, _values(context)), default=0)
    most: int = len(text) + shown * longest
    return most <= int(engine.OUTPUT_BYTES)


def _values(context: object) -> Iterator[str]:
    """Every text in the context, and each part of it as it would be shown whole."""
    if isinstance(context, Mapping):
        yield str(dict(context))
        for value in context.values():
            yield from _values(value)
    else:
        yield str(context)


async def render(source: str, job: TemplateJob) -> str:
    """The rendered text; InvalidInput naming the template and what is wrong in it."""
    text = as_jinja(source)
    if not is_plain(text, job.context):
        return await _render_apart(text, job)
    try:
        return engine.render(text, job.context)
    except Exception as error:
        raise _failure(job, str(error)) from error


async def _render_apart(text: str, job: TemplateJob) -> str:
    given = json.dumps({"text": text, "context": dict(job.context)}).encode()
    completed = await process.run(process.python(engine.__file__), stdin=given)
    if completed.status == 0:
        return completed.stdout.decode(errors="replace")
    said = completed.stderr.decode(errors="replace").strip().splitlines()
    is_told = completed.status == 1 and bool(said)
    raise _failure(job, said[-1] if is_told else "it takes more memory or time than a template may")


def _failure(job: TemplateJob, reason: str) -> InvalidInput:
    line = (reason.splitlines() or ["it failed"])[0][:300]
    return InvalidInput(f'template "{job.source}" for {job.target} cannot be rendered: {line}')
