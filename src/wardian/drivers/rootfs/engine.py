"""The engine for templates: minijinja, without a loader, with fuel.

Also a program of its own, with little memory and time, for templates whose text could grow: it gets
{"text", "context"} as JSON on its standard input and writes the text to its standard output.
"""

import json
import resource
import sys
from collections.abc import Mapping
from typing import Any

import minijinja

FUEL = 1_000_000
OUTPUT_BYTES = 16 << 20
"""A rendered text is at most so long."""
MEMORY_BYTES = 512 << 20
TIME_S = 5


def render(text: str, context: Mapping[str, Any]) -> str:
    """The rendered text; minijinja's error if it cannot be rendered."""
    config = context.get("config", {})

    def config_get(key: str, default: object = "") -> str:
        value = config.get(key, default)
        return "" if value is None else str(value).rstrip("\n")

    engine = minijinja.Environment(undefined_behavior="chainable", fuel=FUEL, keep_trailing_newline=True)
    engine.auto_escape_callback = lambda _: False
    rendered: str = engine.render_str(text, **dict(context), config_get=config_get)
    return rendered


def main() -> int:
    """Render; 1 and a line on stderr if that fails."""
    given = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (TIME_S, TIME_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        text = render(given["text"], given["context"])
    except Exception as error:
        sys.stderr.write((str(error).splitlines() or [type(error).__name__])[0])
        return 1
    if len(text) > OUTPUT_BYTES:
        sys.stderr.write(f"it is longer than {OUTPUT_BYTES >> 20} MiB")
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
