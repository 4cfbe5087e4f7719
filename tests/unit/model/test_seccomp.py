"""The seccomp policy of a container."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import InvalidInput
from wardian.model import keys, seccomp

USUAL = [
    "2",
    "denylist",
    "[all]",
    "reject_force_umount",
    "kexec_load errno 1",
    "open_by_handle_at errno 1",
    "init_module errno 1",
    "finit_module errno 1",
    "delete_module errno 1",
]


def lines(**config: str) -> list[str]:
    named = {f"security.syscalls.{key}": value for key, value in config.items()}
    return seccomp.policy(named).splitlines()


def test_the_usual_policy_refuses_what_reaches_the_host() -> None:
    assert lines() == USUAL


@pytest.mark.parametrize("key", ["deny", "blacklist"])
def test_more_calls_are_refused(key: str) -> None:
    assert lines(**{key: "mkdir\nchmod errno 13\n"}) == [*USUAL, "mkdir errno 1", "chmod errno 13"]


def test_earlier_names_count() -> None:
    for key in ("security.syscalls.blacklist_default", "security.syscalls.whitelist"):
        keys.check_config({key: "false" if key.endswith("default") else "read"}, where="profile")
    assert lines(blacklist_default="false") == ["2", "denylist", "[all]"]


def test_the_usual_refusals_can_be_left_out() -> None:
    assert lines(deny_default="false", deny="mkdir") == ["2", "denylist", "[all]", "mkdir errno 1"]


@pytest.mark.parametrize("key", ["allow", "whitelist"])
def test_only_some_calls_are_allowed(key: str) -> None:
    assert lines(**{key: "read\nwrite"}) == ["2", "allowlist", "[all]", "read", "write"]


def test_a_raw_policy_is_the_whole_policy() -> None:
    assert seccomp.policy({"raw.seccomp": "2\ndenylist\nmkdir errno 1"}) == "2\ndenylist\nmkdir errno 1\n"


@pytest.mark.parametrize("text", ["mkdir; x", "mkdir notify", "[all", "MKDIR", "mkdir\x0b", "../x", "-x"])
def test_a_line_is_a_call(text: str) -> None:
    with pytest.raises(InvalidInput):
        seccomp.parse_calls(text)


@pytest.mark.parametrize("text", ["", "3\ndenylist", "2", "2\nnolist", "2\ndenylist\n\x1b"])
def test_a_raw_policy_begins_like_one(text: str) -> None:
    with pytest.raises(InvalidInput):
        seccomp.parse_raw(text)


@pytest.mark.parametrize(
    "config",
    [
        {"security.syscalls.deny": "a", "security.syscalls.allow": "b"},
        {"security.syscalls.deny": "a", "security.syscalls.blacklist": "b"},
        {"raw.seccomp": "2\ndenylist", "security.syscalls.deny": "a"},
    ],
)
def test_keys_that_contradict_each_other_are_refused(config: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        seccomp.check(config)


@given(st.text(max_size=60))
def test_no_call_adds_more_than_its_own_lines(text: str) -> None:
    config = {"security.syscalls.deny": text}
    try:
        keys.check_config(config, where="container")
    except InvalidInput as error:
        assert str(error).isprintable()
        return
    added = len([line for line in text.split("\n") if line.strip(" \t")])
    assert len(seccomp.policy(config).splitlines()) == len(USUAL) + added


def test_names_of_calls_are_told_without_actions_and_sections() -> None:
    config = {"security.syscalls.deny": "[x86_64]\nchmod\nclone3 errno 38\nreject_force_umount\n"}
    assert seccomp.calls(config) == {"security.syscalls.deny": ["chmod", "clone3"]}
    old = {"security.syscalls.whitelist": "read"}
    assert seccomp.calls(old) == {"security.syscalls.whitelist": ["read"]}
    assert seccomp.calls({"raw.seccomp": "2\ndenylist\nx"}) == {}
