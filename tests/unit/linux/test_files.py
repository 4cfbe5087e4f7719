"""Files in trees that are not trusted: no link leads out of them."""

from pathlib import Path

import pytest

from wardian.linux import files


def test_a_file_is_written_read_listed_and_removed(tmp_path: Path) -> None:
    files.write_inside(tmp_path, "templates/one", b"first")
    files.write_inside(tmp_path, "templates/one", b"second")
    (tmp_path / "templates/folder").mkdir()
    assert files.read_inside(tmp_path, "templates/one", limit=10) == b"second"
    assert files.names_inside(tmp_path, "templates") == ["one"]
    files.remove_inside(tmp_path, "templates/one")
    assert files.read_inside(tmp_path, "templates/one", limit=10) is None
    assert files.names_inside(tmp_path, "nowhere") == []


def test_links_are_replaced_or_refused_and_never_followed(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    tree.mkdir()
    outside.mkdir()
    (outside / "file").write_text("mine")
    (tree / "templates").symlink_to(outside)
    (tree / "metadata.yaml").symlink_to(outside / "file")
    with pytest.raises(OSError):
        files.write_inside(tree, "templates/file", b"theirs")
    with pytest.raises(OSError):
        files.remove_inside(tree, "templates/file")
    assert files.names_inside(tree, "templates") == []
    assert files.read_inside(tree, "metadata.yaml", limit=10) is None
    files.write_inside(tree, "metadata.yaml", b"new")
    assert (outside / "file").read_text() == "mine" and (tree / "metadata.yaml").read_text() == "new"
