"""Images."""

from __future__ import annotations

from wardian.cli.command import FORMAT, Command
from wardian.cli.options import Flag

COMMANDS = (
    Command(
        "image",
        "image:run",
        """Usage: lxc image build|import|export|copy|delete|info|show|edit|list|refresh|alias ...

Manage images.

lxc image build <recipe.yaml> [<remote>:] [--alias ALIAS...] [--no-cache]
    Make an image out of another one by the steps of a recipe. What an earlier build did is used again as
    far as nothing has changed; with --no-cache all is done anew.

lxc image import <tarball> [<rootfs>] [<remote>:] [--public] [--alias ALIAS...] [key=value...]
    Add an image of one file, or of a metadata tarball and a root file system (tarball or squashfs).

lxc image import <folder> [<remote>:] [--public] [--alias ALIAS...] [key=value...]
    Add an image of a folder that holds metadata.yaml and rootfs/, and perhaps templates/.

lxc image import <URL> [<remote>:] [--public] [--alias ALIAS...] [key=value...]
    Have the server fetch an image from the web; only https:// URLs.

lxc image copy [<remote>:]<image> <remote>: [--alias ALIAS...] [--copy-aliases] [--public] [--auto-update]
               [--mode pull|relay]
    Have the server fetch an image of another remote, and keep it. With --mode relay this client carries it,
    for servers that cannot reach each other.

lxc image refresh [<remote>:]<image> [[<remote>:]<image>...]
    Fetch the newest version of an image from where it came.

lxc image export [<remote>:]<image> [<target>]
    Save an image to a folder, a file or ("-") standard output.

lxc image delete [<remote>:]<image> [[<remote>:]<image>...]
lxc image info|show|edit [<remote>:]<image>
lxc image get-property|unset-property [<remote>:]<image> <key>
lxc image set-property [<remote>:]<image> <key> <value>
lxc image list [<remote>:] [<filter>...] [-c <columns>] [--format table|json|csv|yaml|compact]
    Filters: part of an alias or fingerprint, or property=value with regular expressions.
    Columns: l alias, L all aliases, f fingerprint, F all of it, p public, d description, a architecture,
    s size, u upload date, t type. Default: lfpdasu.

lxc image alias create [<remote>:]<alias> <fingerprint>
lxc image alias rename [<remote>:]<alias> <new name>
lxc image alias delete [<remote>:]<alias>
lxc image alias list [<remote>:] [<filter>...]

Examples:
    lxc image list debian:
    lxc image list ubuntu: 16.04
    lxc image copy ubuntu:16.04 local: --copy-aliases --auto-update
    lxc image build web.yaml --alias web
    lxc image import busybox.tar.xz --alias bb
    lxc image export bb .
""",
        (
            Flag("public", "bool", "Make image public"),
            Flag("alias", "list", "New alias to define at target"),
            Flag("copy-aliases", "bool", "Copy aliases from source"),
            Flag("no-cache", "bool", "Make all steps of a recipe anew"),
            Flag("auto-update", "bool", "Keep the image up to date after initial copy"),
            Flag("c,columns", "str", "Columns of a list", "lfpdasu"),
            Flag("mode", "str", "Who carries a copied image (pull|relay)", "pull", values="pull relay"),
            FORMAT,
        ),
        subcommands="build import export copy delete info show edit list refresh alias "
        "get-property set-property unset-property",
        completes="image",
    ),
)
