"""Recipes: what is accepted, what is refused and how, and when a step is the same as before."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import recipe as r

FULL: dict[str, Any] = {
    "name": "web",
    "base": "debian:bookworm",
    "alias": ["web", "web/1"],
    "public": True,
    "properties": {"description": "A web server", "version": 1.5},
    "config": {"limits.memory": "1GB", "security.nesting": True},
    "profiles": [],
    "steps": [
        {"packages": ["nginx", "curl=7.88.1-10", "libstdc++6:amd64"], "environment": {"A": "b"}},
        {
            "files": {
                "/etc/motd": "hello\n",
                "/srv": {"source": "./srv", "mode": "0750", "uid": 33, "gid": 33},
            }
        },
        {"run": "systemctl enable nginx\nexit 0\n"},
        {"run": ["touch", "/done"]},
    ],
}


def test_a_recipe_is_read() -> None:
    found = r.parse(FULL, "other")
    assert (found.name, found.container, found.base) == ("web", "build-web", "debian:bookworm")
    assert (found.aliases, found.public, found.profiles) == (("web", "web/1"), True, ())
    assert found.properties["version"] == "1.5" and found.config["security.nesting"] == "true"
    packages, files, script, command = found.steps
    assert packages.packages[0] == "nginx" and packages.environment == {"A": "b"}
    assert files.files == (
        r.File("/etc/motd", text="hello\n"),
        r.File("/srv", source="./srv", mode=0o750, uid=33, gid=33),
    )
    assert script.run == ("sh", "-ec", "systemctl enable nginx\nexit 0\n")
    assert command.run == ("touch", "/done")
    assert [step.title for step in found.steps] == [
        "packages nginx curl=7.88.1-10 libstdc++6:amd64",
        "files /etc/motd /srv",
        "run systemctl enable nginx",
        "run touch /done",
    ]


def test_little_is_needed() -> None:
    found = r.parse({"base": "alpine"}, "small")
    assert (found.name, found.aliases, found.steps, found.profiles) == ("small", (), (), None)
    assert r.parse({"base": "x", "alias": "one"}, "n").aliases == ("one",)
    assert (
        r.parse({"base": "x", "steps": [{"files": {"/a": {"text": "", "mode": 0o600}}}]}, "n")
        .steps[0]
        .files[0]
        .mode
        == 0o600
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base": None}, "base: must be a text"),
        ({"base": ""}, "base: must be a text"),
        ({"name": "a/b"}, "name: 'a/b' may have letters"),
        ({"name": "x" * 70}, "may have letters"),
        ({"public": "yes"}, "public: must be true or false"),
        ({"stepz": []}, 'unknown field "stepz"'),
        ({"steps": {}}, "steps: must be a list"),
        ({"steps": [{"run": "true"}] * 201}, "are too many"),
        ({"steps": [{}]}, "step 1: write one of packages, files, run"),
        ({"steps": [{"run": "a", "packages": ["b"]}]}, "step 1: write one of"),
        ({"steps": [{"run": ""}]}, "step 1: run: there is no command"),
        ({"steps": [{"run": []}]}, "step 1: run: there is no command"),
        ({"steps": [{"run": 7.5, "x": 1}]}, 'unknown field "x"'),
        ({"steps": [{"packages": ["-o=evil"]}]}, "is not the name of a package"),
        ({"steps": [{"packages": ["a b"]}]}, "is not the name of a package"),
        ({"steps": [{"packages": []}]}, "there is none"),
        ({"steps": [{"packages": "nginx"}]}, "packages: must be a list"),
        ({"steps": [{"files": {"etc/motd": "x"}}]}, "is not an absolute path"),
        ({"steps": [{"files": {"/a/../b": "x"}}]}, "is not an absolute path"),
        ({"steps": [{"files": {"/a/": "x"}}]}, "is not an absolute path"),
        ({"steps": [{"files": {"/a": {}}}]}, "write either text or source"),
        ({"steps": [{"files": {"/a": {"text": "x", "source": "y"}}}]}, "write either text or source"),
        ({"steps": [{"files": {"/a": {"text": "x", "mode": "99"}}}]}, "is not a mode"),
        ({"steps": [{"files": {"/a": {"text": "x", "mode": 0o10000}}}]}, "is not a mode"),
        ({"steps": [{"files": {"/a": {"text": "x", "uid": -1}}}]}, "is not the number of a user"),
        ({"steps": [{"files": {"/a": {"text": "x", "uid": True}}}]}, "is not the number of a user"),
        ({"steps": [{"files": {"/a": "x"}, "environment": {"A": "b"}}]}, "files have no environment"),
        ({"config": {"a": [1]}}, "config: a: must be a text"),
        ({"config": {1: "a"}}, "config: must be a map"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        r.parse(FULL | changes, "n")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(r.KINDS), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from([*FULL, "other"]), JSON)
def test_any_document_is_read_or_refused(field: str, value: Any) -> None:
    try:
        r.parse(FULL | {field: value}, "n")
    except InvalidInput as error:
        assert "\n" not in str(error)


def keys_of(changes: dict[str, Any] | None = None, content: str = "a") -> list[str]:
    return r.keys(r.parse(FULL | (changes or {}), "n"), lambda _: content)


def test_a_key_depends_on_all_before_it_and_nothing_after_it() -> None:
    before = keys_of()
    assert len(set(before)) == 5
    changed = [*FULL["steps"][:3], {"run": "other"}]
    assert keys_of({"steps": changed})[:4] == before[:4] and keys_of({"steps": changed})[4] != before[4]
    assert not set(keys_of({"base": "debian:trixie"})) & set(before)
    assert keys_of({"alias": "x", "properties": {}, "public": False, "name": "y"}) == before


def test_a_key_depends_on_what_is_in_the_files() -> None:
    before, after = keys_of(), keys_of(content="b")
    assert before[:2] == after[:2] and not set(before[2:]) & set(after[2:])


def test_the_recipe_in_the_docs_is_one() -> None:
    text = (Path(__file__).parents[3] / "docs/images.md").read_text()
    block = text.partition("# web.yaml\n")[2].partition("\n\n")[0]
    found = r.parse(yaml.safe_load(block), "web")
    assert found.aliases == ("web",) and len(found.steps) == 3
    assert found.steps[2].run == ("sh", "-ec", "systemctl enable nginx")
