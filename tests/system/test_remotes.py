"""Two daemons on one machine: trust, remotes, every command over HTTPS, and who is kept out."""

import contextlib
import copy
import json
import os
import pty
import select
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.farhost import Far, free_port
from tests.system.harness import CLIENT_WITH_SITE, PYTHON, Daemon

# --- becoming trusted --------------------------------------------------------------------------


def test_a_token_makes_one_client_trusted_once(client: Daemon, far: Far, tmp_path: Path) -> None:
    token = far.token("laptop")
    assert "laptop" in far.daemon.lxc("config", "trust", "list-tokens")
    assert client.lxc("remote", "add", "far", token) == "Client certificate stored at server:  far\n"
    assert client.lxc("list", "far:", "--format", "csv") == ""
    trusted = json.loads(far.daemon.lxc("config", "trust", "list", "--format", "json"))
    assert [one["name"] for one in trusted] == ["laptop"]
    assert far.daemon.lxc("config", "trust", "list-tokens", "--format", "csv") == ""
    assert (tmp_path / "conf/client.key").stat().st_mode & 0o777 == 0o600

    thief = copy.copy(client)
    thief.environment = client.environment | {"LXD_CONF": str(tmp_path / "thief")}
    assert "the token is wrong, was used, or has expired" in thief.error("remote", "add", "far", token)
    assert "far" not in thief.lxc("remote", "list")
    assert not list((tmp_path / "thief").glob("servercerts/*"))


def test_a_revoked_or_malformed_token_admits_nobody(client: Daemon, far: Far) -> None:
    token = far.token("laptop")
    assert "revoke it with" in far.daemon.error("config", "trust", "add", "--name", "laptop")
    far.daemon.lxc("config", "trust", "revoke-token", "laptop")
    assert "not authorized" in client.error("remote", "add", "far", token)
    assert "not a join token" in client.error("remote", "add", "far", "--token", "nonsense")
    assert "not a length of time" in far.daemon.error(
        "config", "trust", "add", "--name", "x", "--expiry", "1y"
    )


def test_a_token_for_another_server_is_not_shown_to_this_one(client: Daemon, far: Far) -> None:
    import base64

    fields = json.loads(base64.b64decode(far.token("laptop")))
    forged = base64.b64encode(json.dumps(fields | {"fingerprint": "0" * 64}).encode()).decode()
    assert "shows the certificate" in client.error("remote", "add", "far", forged)
    far.daemon.lxc("config", "trust", "revoke-token", "laptop")


def test_the_fingerprint_is_asked_about_and_the_password_opens(client: Daemon, far: Far) -> None:
    far.daemon.lxc("config", "set", "core.trust_password", "sesame")
    assert far.daemon.lxc("config", "get", "core.trust_password") == "true\n"
    assert "sesame" not in far.daemon.lxc("config", "show")
    refused = client.run("remote", "add", "far", f"127.0.0.1:{far.port}", stdin=b"n\n")
    assert b"Server certificate NACKed by user" in refused.stderr
    shown = far.daemon.lxc("info").split("certificate_fingerprint: ")[1].split("\n")[0]
    assert f"Certificate fingerprint: {shown}\nok (y/n)? ".encode() in refused.stdout
    client.lxc("remote", "add", "far", f"127.0.0.1:{far.port}", stdin="y\nsesame\n")
    client.lxc("list", "far:")
    far.daemon.lxc("config", "unset", "core.trust_password")
    client.lxc("list", "far:")
    again = ("remote", "add", "again", far.url, "--accept-certificate")
    assert client.lxc(*again) == ""  # trusted already: no password is asked


def test_a_password_that_is_to_be_read_is_no_dash(client: Daemon, far: Far) -> None:
    add = ("remote", "add", "far", far.url, "--accept-certificate", "--password")
    words = ("config", "set", "core.trust_password", "-")
    far.daemon.lxc(*words, stdin="sesame\n")
    client.lxc(*add, "sesame")
    far.forget_all()
    client.lxc("remote", "remove", "far")
    shown = _at_terminal(far.daemon, b"mellon\n", *words)
    assert "Trust password: " in shown and "mellon" not in shown
    assert "not authorized" in client.error(*add, "-")
    client.lxc(*add, "mellon")
    far.daemon.lxc("config", "unset", "core.trust_password")


def _at_terminal(daemon: Daemon, typed: bytes, *words: str) -> str:
    """Type this when the command has asked for it; what was shown."""
    ours, theirs = pty.openpty()
    argv = ["setsid", "--ctty", "--wait", PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, *words]
    with subprocess.Popen(argv, env=daemon.environment, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while piece := os.read(ours, 4096):
                shown += piece
                if shown.endswith(b": "):
                    os.write(ours, typed)
    os.close(ours)
    assert child.returncode == 0, shown
    return shown.decode()


def test_the_password_opens_over_ipv6_too(client: Daemon, far: Far, tmp_path: Path) -> None:
    far.daemon.lxc("config", "set", "core.trust_password", "sesame")
    try:
        far.listen(f"[::1]:{far.port}")
        words = ("--accept-certificate", "--password", "sesame")
        client.lxc("remote", "add", "far", f"[::1]:{far.port}", *words)
        (row,) = far.daemon.lxc("config", "trust", "list", "--format", "csv").splitlines()
        assert f"@{os.uname().nodename}," in row
    finally:
        far.listen(f"127.0.0.1:{far.port}")
        far.daemon.lxc("config", "unset", "core.trust_password")


def test_wrong_passwords_are_refused_and_soon_not_even_checked(client: Daemon, far: Far) -> None:
    far.daemon.lxc("config", "set", "core.trust_password", "sesame")
    wrong = ("remote", "add", "far", far.url, "--accept-certificate", "--password", "wrong")
    assert "error: not authorized: the password is wrong, or none is set there" in client.error(*wrong)
    body = '{"type": "client", "password": "wrong"}'
    statuses = [far.ask("/1.0/certificates", "-d", body)[0] for _ in range(20)]
    assert statuses[0] == 403 and statuses[-1] == 429
    right = ("remote", "add", "far", far.url, "--accept-certificate", "--password", "sesame")
    assert "too many wrong attempts to become trusted; retry in" in client.error(*right)
    assert client.error("list", "far:") == 'error: The remote "far" doesn\'t exist'
    # A token is no guess: it opens at any time.
    client.lxc("remote", "add", "far", far.token("patient"))
    far.daemon.lxc("config", "unset", "core.trust_password")
    assert far.ask("/1.0/certificates", "-d", body)[0] == 403


def test_a_certificate_is_added_by_its_file_and_removed_with_effect_at_once(
    client: Daemon, far: Far, tmp_path: Path
) -> None:
    wanted = ("remote", "add", "far", far.url, "--accept-certificate", "--password", "x")
    client.error(*wanted)
    certificate = str(tmp_path / "conf/client.crt")
    far.daemon.lxc("config", "trust", "add", certificate, "--name", "by-file")
    assert "already in trust store" in far.daemon.error("config", "trust", "add", certificate)
    client.lxc(*wanted)
    (row,) = far.daemon.lxc("config", "trust", "list", "--format", "csv").splitlines()
    fingerprint = row.split(",")[0]
    assert "by-file" in far.daemon.lxc("config", "trust", "show", fingerprint)
    with listening(client, "far:") as monitor:
        far.daemon.lxc("config", "trust", "remove", fingerprint)
        monitor.wait(timeout=30)
    assert 'remote "far" does not trust this client' in client.error("list", "far:")


# --- using remotes -----------------------------------------------------------------------------


def test_a_container_lives_on_the_other_host(friend: Daemon, far: Far) -> None:
    friend.lxc("launch", "far:bb", "far:c1")
    try:
        assert far.daemon.names() == ["c1"]
        assert "c1" not in friend.names()
        assert friend.lxc("exec", "far:c1", "--", "sh", "-c", "cat; id -u", stdin="hello ") == "hello 0\n"
        assert friend.run("exec", "far:c1", "--", "sh", "-c", "exit 7").returncode == 7
        assert f"Remote: {far.url}" in friend.lxc("info", "far:c1")
        friend.lxc("config", "set", "far:c1", "user.colour", "green")
        assert far.daemon.lxc("config", "get", "c1", "user.colour") == "green\n"
        friend.lxc("pause", "far:c1")
        friend.lxc("start", "far:c1")
        friend.lxc("stop", "-f", "far:c1")
        assert far.daemon.names("s") == ["STOPPED"]
    finally:
        friend.lxc("delete", "-f", "far:c1")
    assert far.daemon.names() == []


def test_much_data_goes_through_exec_in_both_directions(friend: Daemon, far: Far) -> None:
    friend.lxc("launch", "far:bb", "far:c1")
    try:
        data = bytes(range(256)) * 16384
        completed = friend.run("exec", "far:c1", "--", "sh", "-c", "cat > /tmp/x; cat /tmp/x", stdin=data)
        assert completed.stdout == data
    finally:
        friend.lxc("delete", "-f", "far:c1")


def test_several_hosts_at_once(friend: Daemon, far: Far, name: str) -> None:
    friend.lxc("launch", "bb", name)
    friend.lxc("launch", "far:bb", f"far:{name}")
    friend.lxc("stop", "-f", name, f"far:{name}")
    assert far.daemon.names("s") == ["STOPPED"]
    friend.lxc("delete", name, f"far:{name}")
    assert far.daemon.names() == []


def test_images_go_there_and_back(friend: Daemon, far: Far, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    friend.lxc("image", "export", "far:bb", str(tmp_path / "out"))
    (file,) = (tmp_path / "out").iterdir()
    friend.lxc("image", "delete", "far:bb")
    said = friend.lxc("image", "import", str(file), "far:", "--alias", "bb")
    assert said.strip().endswith(far.fingerprint)
    assert "bb" in friend.lxc("image", "list", "far:")
    assert f"far:{'bb'}" in friend.lxc("completion", "words", "--", "launch", "far:b")


def test_the_default_remote_can_be_the_other_host(friend: Daemon, far: Far) -> None:
    friend.lxc("remote", "rename", "far", "there")
    friend.lxc("remote", "set-default", "there")
    assert friend.lxc("remote", "get-default") == "there\n"
    assert "there (default)" in friend.lxc("remote", "list")
    assert friend.names() == far.daemon.names()
    assert "can't remove the default remote" in friend.error("remote", "remove", "there")
    friend.lxc("remote", "set-default", "local")
    friend.lxc("remote", "remove", "there")
    assert "doesn't exist" in friend.error("list", "there:")
    assert "static and cannot be modified" in friend.error("remote", "remove", "local")


@contextlib.contextmanager
def listening(user: Daemon, remote: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A monitor of the remote that has already heard an event."""
    argv = [PYTHON, "-I", "-S", "-c", CLIENT_WITH_SITE, "monitor", remote, "--type=lifecycle"]
    with subprocess.Popen(
        argv,
        env=user.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as child:
        try:
            assert child.stdout is not None
            while not select.select([child.stdout], [], [], 0.2)[0]:
                assert child.poll() is None
                user.lxc("profile", "set", f"{remote}default", "user.tick", "1")
            user.lxc("profile", "unset", f"{remote}default", "user.tick")
            yield child
        finally:
            child.kill()


def test_monitor_hears_the_other_host(friend: Daemon, far: Far) -> None:
    with listening(friend, "far:") as child:
        far.daemon.lxc("profile", "create", "heard")
        assert child.stdout is not None
        while b"/1.0/profiles/heard" not in child.stdout.readline():
            assert child.poll() is None
    far.daemon.lxc("profile", "delete", "heard")


def test_monitor_hears_a_server_that_was_away(friend: Daemon, far: Far) -> None:
    with listening(friend, "far:") as child:
        assert child.stdout is not None and child.stderr is not None
        far.daemon.kill()
        assert child.stderr.readline() == b"the connection to the server broke off; trying again\n"
        far.daemon.start()
        assert child.stderr.readline().startswith(b"connected again;")
        far.daemon.lxc("profile", "create", "heard")
        while b"/1.0/profiles/heard" not in child.stdout.readline():
            assert child.poll() is None
        far.daemon.lxc("profile", "delete", "heard")
        far.forget_all()
        assert b'remote "far" does not trust this client' in child.stderr.read()
        assert child.wait(timeout=30) == 1


# --- the address -------------------------------------------------------------------------------


def test_the_address_is_changed_while_clients_use_it(friend: Daemon, far: Far) -> None:
    try:
        with listening(friend, "far:") as monitor:
            friend.lxc("config", "set", "far:", "core.https_address", f"[::1]:{far.port}")
            assert monitor.poll() is None
        assert "connection refused" in friend.error("list", "far:")
        friend.lxc("remote", "set-url", "far", f"https://[::1]:{far.port}")
        friend.lxc("list", "far:")
        far.listen(f"[::]:{far.port}")
        friend.lxc("list", "far:")
        assert far.ask("/")[0] == 200  # [::] is for IPv4 too
        assert f":{far.port}" in far.daemon.lxc("info").split("addresses:")[1].split("architectures")[0]
        far.daemon.kill()
        far.daemon.start()
        friend.lxc("list", "far:")
        far.daemon.lxc("config", "unset", "core.https_address")
        assert "connection refused" in friend.error("list", "far:")
    finally:
        far.listen(f"127.0.0.1:{far.port}")


def test_an_address_that_cannot_be_had_leaves_the_present_one(friend: Daemon, far: Far) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = far.daemon.error("config", "set", "core.https_address", f"127.0.0.1:{port}")
        assert f'cannot listen on "127.0.0.1:{port}": Address already in use' in said
        assert "cannot listen" in far.daemon.error("config", "set", "core.https_address", "192.0.2.1:8443")
    assert far.daemon.lxc("config", "get", "core.https_address") == f"127.0.0.1:{far.port}\n"
    friend.lxc("list", "far:")


# --- who is kept out ---------------------------------------------------------------------------


def test_a_server_that_shows_another_certificate_is_not_talked_to(friend: Daemon, far: Far) -> None:
    folder = far.daemon.folder / "lxd"
    kept = {name: (folder / name).read_bytes() for name in ("server.crt", "server.key")}
    try:
        far.daemon.kill()
        for name in kept:
            (folder / name).unlink()
        far.daemon.start()
        assert "shows another certificate than when it was added" in friend.error("list", "far:")
    finally:
        far.daemon.kill()
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        far.daemon.start()
    friend.lxc("list", "far:")


def test_a_guest_sees_what_is_public_and_nothing_else(client: Daemon, far: Far) -> None:
    status, body = far.ask("/1.0")
    assert status == 200 and json.loads(body)["metadata"]["auth"] == "untrusted"
    assert "environment" not in body and "config" not in json.loads(body)["metadata"]
    for path in (
        "/1.0/containers",
        "/1.0/containers/nosuch",
        "/1.0/certificates",
        "/1.0/events",
        "/1.0/operations",
        "/1.0/operations/00000000-0000-0000-0000-000000000000/websocket?secret=x",
        "/nosuch",
        "/internal/ready",
    ):
        assert (path, far.ask(path)[0]) == (path, 403)
    assert json.loads(far.ask("/1.0/images")[1])["metadata"] == []
    assert far.ask(f"/1.0/images/{far.fingerprint}")[0] == 404
    assert far.ask("/1.0/certificates", "-d", '{"type": "client", "token": true, "name": "x"}')[0] == 403
    client.lxc("remote", "add", "guest", far.url, "--accept-certificate", "--public")
    assert "private LXD server" in client.error("list", "guest:")
    far.daemon.request("PATCH", f"/1.0/images/{far.fingerprint}", '{"public": true}')
    try:
        assert far.fingerprint[:12] in client.lxc("image", "list", "guest:")
    finally:
        far.daemon.request("PATCH", f"/1.0/images/{far.fingerprint}", '{"public": false}')


def test_a_page_in_a_browser_cannot_use_the_certificate(friend: Daemon, far: Far, tmp_path: Path) -> None:
    identity = ("--cert", str(tmp_path / "conf/client.crt"), "--key", str(tmp_path / "conf/client.key"))
    assert far.ask("/1.0/containers", *identity)[0] == 200
    evil = "https://evil.example"
    assert far.ask("/1.0/containers", *identity, "-H", f"Origin: {evil}")[0] == 403
    assert far.ask("/1.0/containers", *identity, "-H", "Sec-Fetch-Site: cross-site")[0] == 403
    assert far.ask("/1.0/profiles", *identity, "-H", f"Origin: {evil}", "-d", '{"name": "p"}')[0] == 403
    far.daemon.lxc("config", "set", "core.https_allowed_origin", "https://good.example")
    assert far.ask("/1.0/containers", *identity, "-H", "Origin: https://good.example")[0] == 200
    assert far.ask("/1.0/containers", *identity, "-H", f"Origin: {evil}")[0] == 403
    far.daemon.lxc("config", "unset", "core.https_allowed_origin")


def test_thousands_of_silent_connections_keep_nobody_out(friend: Daemon, far: Far) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(2000):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", far.port), 30))
            if number % 2:
                with contextlib.suppress(OSError):
                    sock.sendall(b"\x16\x03\x01")  # the beginning of a handshake
        friend.lxc("list", "far:")
        assert far.ask("/1.0")[0] == 200
    assert far.daemon.process is not None
    descriptors = list(Path(f"/proc/{far.daemon.process.pid}/fd").iterdir())
    assert len(descriptors) < 400


def test_old_tls_and_weak_suites_are_refused(far: Far) -> None:
    def version(least: ssl.TLSVersion, most: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers(ciphers)
        context.minimum_version, context.maximum_version = least, most
        with (
            socket.create_connection(("127.0.0.1", far.port), 30) as plain,
            context.wrap_socket(plain) as tls,
        ):
            return tls.version()

    old, present, new = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    assert version(present, present) == "TLSv1.2"
    assert version(new, new) == "TLSv1.3"
    with pytest.warns(DeprecationWarning), pytest.raises(OSError):
        version(old, old)
    with pytest.raises(OSError):
        version(present, present, "AES128-SHA")


def test_servers_that_are_not_there_are_explained_in_one_line(client: Daemon, far: Far) -> None:
    port = free_port()
    said = client.error("remote", "add", "x", f"127.0.0.1:{port}", "--accept-certificate")
    assert said == (
        f'error: cannot reach remote "x" at 127.0.0.1:{port}: connection refused; '
        "does the server listen there (core.https_address)?"
    )
    assert "there is no host of this name" in client.error("remote", "add", "x", "nosuch.invalid")
    assert 'Invalid URL scheme "http"' in client.error("remote", "add", "x", "http://127.0.0.1")
    assert "cannot be the name of a remote" in client.error("remote", "add", "../x", far.url)
