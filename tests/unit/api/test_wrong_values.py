"""Every key with every kind of wrong value, by every way in: the same verdict, in words that help."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.api.conftest import Caller
from tests.unit.api.test_profiles import ROOT, add_container
from wardian.core.host import Host
from wardian.drivers.runtime import apparmor, render
from wardian.errors import InvalidInput
from wardian.model import confinement, keys, limits
from wardian.model.idmap import IdMap
from wardian.model.key import Key
from wardian.ports.runtime import StartPlan

EVIL = "lxc.hook.pre-start = /bin/evil"
VALUES = {
    "empty": "",
    "wrong type": "what?!",
    "negative": "-7",
    "out of range": "99999999999999999999",
    "newline": f"1\n{EVIL}",
    "carriage return": f"1\r{EVIL}",
    "NUL": f"1\0{EVIL}",
    "leading dash": "-rf",
    "path": "../../etc/passwd",
    "very long": "x" * 70000,
    "line separator": f"1\u2028{EVIL}",
    "braces": '}\nprofile "x" {',
}
OWN_PARTS = {"limits.kernel.*": "nofile", "linux.sysctl.*": "net.ipv4.ip_forward", "environment.*": "A"}
FREE = {"environment.*", "linux.sysctl.*", "snapshots.pattern"}
"""Keys whose values are texts of one line: most of the above are right for them."""


def example(key: Key) -> str:
    """A name that the row is about."""
    return key.name.replace("*", OWN_PARTS.get(key.name, "x"))


ADDS_LINES = ("newline", "carriage return", "NUL", "braces")
NO_VALUE = ("leading dash", "path", "line separator")

ORDINARY = [key for key in keys.KEYS if "profile" in key.scope]


@pytest.mark.parametrize("key", ORDINARY, ids=lambda key: key.name)
async def test_each_way_in_gives_the_same_verdict(host: Host, api: Caller, key: Key) -> None:
    name = example(key)
    await add_container(host, "c1")
    await api.ask("POST", "/1.0/profiles", {"name": "p1"})
    for kind, value in VALUES.items():
        config = {name: value}
        devices = {"root": ROOT}
        made = await api.ask("POST", "/1.0/profiles", {"name": "p2", "config": config})
        changed = await api.ask("PATCH", "/1.0/profiles/p1", {"config": config})
        patched = await api.ask("PATCH", "/1.0/containers/c1", {"config": config})
        dry = await api.ask("PATCH", "/1.0/containers/c1?dry-run=1", {"config": config})
        put = await api.run("PUT", "/1.0/containers/c1", {"config": config, "devices": devices})
        body = {
            "name": "c2",
            "source": {"type": "none"},
            "config": config,
            "profiles": [],
            "devices": devices,
        }
        created = await api.ask("POST", "/1.0/containers", body)
        source = {"type": "copy", "source": "c1"}
        copied = await api.ask("POST", "/1.0/containers", {**body, "name": "c3", "source": source})
        replies = (made, changed, patched, dry, created, copied)
        errors = [reply.body.get("error", "") for reply in replies]
        errors.append(put["err"])
        assert len({bool(error) for error in errors}) == 1, (kind, errors)
        for error in filter(None, errors):
            assert name in error and error.isprintable() and len(error) < 600, (kind, error)
        for name_made, reply in (("c2", created), ("c3", copied)):
            if reply.status == 202:
                await api.get(f"{reply.body['operation']}/wait")
                await api.ask("DELETE", f"/1.0/containers/{name_made}")
        if made.status == 201:
            await api.ask("DELETE", "/1.0/profiles/p2")
        for path in ("/1.0/profiles/p1", "/1.0/containers/c1"):
            await api.ask("PATCH", path, {"config": {name: None}})
        if kind == "empty":
            assert not errors[0]
        elif not key.type.lines and (kind in ADDS_LINES or (kind in NO_VALUE and key.name not in FREE)):
            assert errors[0], kind


def texts(config: dict[str, str]) -> tuple[str, str, str]:
    """The liblxc configuration, seccomp policy and AppArmor profile for a merged configuration."""
    around = render.Surroundings(Path("/l"), Path("/s"), "/bin/sh hook")
    host = limits.CgroupHost("v2", 2**30, (0, 1, 2, 3))
    found = confinement.of(config)
    plan = StartPlan(
        name="c1",
        architecture="x86_64",
        rootfs=Path("/r"),
        idmap=IdMap.contiguous(1000000, 65536),
        confinement=found,
        environment={k.removeprefix("environment."): v for k, v in keys.under(config, "environment.")},
        sysctls={k.removeprefix("linux.sysctl."): v for k, v in keys.under(config, "linux.sysctl.")},
        settings=limits.cgroup_settings(config, host),
        raw=config.get("raw.lxc", ""),
    )
    return render.container_config(plan, around), found.seccomp, apparmor.profile_text("p", found)


@given(
    st.sampled_from(ORDINARY),
    st.lists(
        st.one_of(st.text(max_size=20), st.sampled_from([EVIL, "\n", "}", "{", "#", "1", "mkdir"])),
        max_size=5,
    ),
)
def test_no_accepted_value_adds_a_line_elsewhere(key: Key, parts: list[str]) -> None:
    config = {example(key): "".join(parts)}
    try:
        keys.check_config(config, where="container")
        lxc, seccomp, profile = texts({k: v for k, v in config.items() if v})
    except InvalidInput as error:
        assert str(error).isprintable()
        return
    plain = texts({})
    assert not any(line.strip().lower().startswith("lxc.hook.pre-start") for line in lxc.split("\n"))
    if key.name != "raw.seccomp" and not key.name.startswith("security.syscalls."):
        assert seccomp == plain[1]
    if key.name not in ("raw.apparmor", "security.privileged", "security.nesting"):
        assert profile == plain[2]
    outside = [line for line in profile.split("\n") if line and not line.startswith(" ")]
    assert len(outside) == 3  # the include, the head and the end of the one profile


async def test_a_change_of_some_fields_restores_no_snapshot(host: Host, api: Caller) -> None:
    await add_container(host, "c1")
    for query in ("", "?dry-run=1"):
        reply = await api.ask("PATCH", f"/1.0/containers/c1{query}", {"restore": "snap0"})
        assert (reply.status, reply.error) == (400, 'field "restore": a snapshot is restored by PUT')


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content-Type": "multipart/form-data"}, "Invalid multipart image"),
        ({"Content-Type": "multipart/form-data; boundary=b"}, "Invalid multipart image"),
        ({"X-LXD-public": "maybe"}, 'header "X-LXD-public": Invalid value for a boolean: maybe'),
    ],
)
async def test_a_wrong_upload_is_told_what_is_wrong(api: Caller, headers: dict[str, str], said: str) -> None:
    reply = await api.ask("POST", "/1.0/images", b"x", headers=headers)
    assert (reply.status, said in reply.error) == (400, True), reply
