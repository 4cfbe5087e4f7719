"""`?filter=` of collections: which objects are wanted, e.g. `name eq c1 and not status eq Running`.

The language of extension `api_filtering`: clauses `FIELD eq|ne VALUE`, each perhaps after `not`, joined by
`and` and `or` and taken from left to right. Fields of fields are joined by dots; a VALUE with spaces is in
double quotes. A text is compared with the VALUE as an expression of RE2 for the whole text, or for a part
where it has `^` or `$`: whoever wrote it, matching takes time in proportion to the text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wardian.errors import InvalidInput

LONGEST = 4096
MOST_MEMORY = 1 << 20
"""Bytes that an expression may take."""
MOST_CLAUSES = 16
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_SPECIAL = re.compile(r"[][\\^$.|?*+(){}]")


@dataclass(frozen=True)
class Clause:
    """One comparison. joined: how it counts with those before it."""

    joined: str
    is_negated: bool
    field: str
    value: str
    pattern: Any
    """A compiled expression; None: the value as it is."""

    def fits(self, found: Mapping[str, Any]) -> bool:
        """Whether the object is so."""
        return self._equals(value_of(found, self.field)) != self.is_negated

    def _equals(self, present: Any) -> bool:
        if isinstance(present, bool):
            return self.value.lower() == str(present).lower()
        if isinstance(present, int):
            return self.value == str(present)
        if not isinstance(present, str):
            return False
        return bool(self.pattern.search(present)) if self.pattern else present.lower() == self.value.lower()


def parse(text: str, *, patterns: bool) -> list[Clause]:
    """The clauses of a filter; none if it is empty. patterns False: values are plain texts.

    InvalidInput says what is wrong with it.
    """
    if len(text) > LONGEST:
        raise InvalidInput(f'argument "filter" is longer than {LONGEST} characters')
    words = [found[1] if found[1] is not None else found[2] for found in _WORD.finditer(text)]
    clauses: list[Clause] = []
    while words:
        joined = "and"
        if clauses:
            joined = words.pop(0).lower()
            if joined not in ("and", "or"):
                raise InvalidInput(f'argument "filter": "{joined}" is neither "and" nor "or"')
        clauses.append(_clause(joined, words, patterns))
        if len(clauses) > MOST_CLAUSES:
            raise InvalidInput(f'argument "filter" has more than {MOST_CLAUSES} clauses')
    return clauses


def _clause(joined: str, words: list[str], patterns: bool) -> Clause:
    """Take one from the beginning of the words."""
    is_negated = bool(words) and words[0].lower() == "not"
    del words[: 1 if is_negated else 0]
    if len(words) < 3:
        raise InvalidInput('argument "filter": a clause is FIELD eq VALUE, or FIELD ne VALUE')
    field, operator, value = words[:3]
    del words[:3]
    if operator.lower() not in ("eq", "ne"):
        raise InvalidInput(f'argument "filter": "{operator}" is neither "eq" nor "ne"')
    pattern = None
    if patterns and _SPECIAL.search(value):
        pattern = _compiled(value if "^" in value or "$" in value else f"^(?:{value})$")
    return Clause(joined, is_negated != (operator.lower() == "ne"), field, value, pattern)


def _compiled(expression: str) -> Any:
    import re2  # 9 ms, for the few who ask so

    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = MOST_MEMORY
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        raise InvalidInput(f'argument "filter": "{expression}" is no expression: {reason}') from None


def fits(clauses: list[Clause], found: Mapping[str, Any]) -> bool:
    """Whether an object of the API is one that is wanted."""
    wanted = True
    for clause in clauses:
        if wanted == (clause.joined == "and"):
            wanted = clause.fits(found)
    return wanted


def value_of(found: Any, field: str) -> Any:
    """What an object has at `a.b.c`, where also `b.c` can be one key; None if it is not there."""
    if not isinstance(found, Mapping):
        return None
    keys = {str(key).lower(): key for key in found}
    if field.lower() in keys:
        return found[keys[field.lower()]]
    for end in range(len(field)):
        if field[end] == "." and field[:end].lower() in keys:
            inner = value_of(found[keys[field[:end].lower()]], field[end + 1 :])
            if inner is not None:
                return inner
    return None
