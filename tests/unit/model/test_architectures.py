"""The architecture table: aliases, personalities, what runs on what."""

import pytest

from wardian.errors import InvalidInput
from wardian.model import architectures


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("amd64", "x86_64"),
        ("x86_64", "x86_64"),
        ("386", "i686"),
        ("armel", "armv7l"),
        ("armhf", "armv7l"),
        ("arm64", "aarch64"),
        ("powerpc", "ppc"),
        ("ppc64el", "ppc64le"),
        ("s390x", "s390x"),
    ],
)
def test_an_alias_means_one_architecture(alias: str, name: str) -> None:
    assert architectures.canonical(alias) == name


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^Architecture isn't supported: z80$"):
        architectures.canonical("z80")


def test_the_native_architecture_comes_first() -> None:
    assert architectures.native("x86_64") == ("x86_64", "i686")
    assert architectures.native("aarch64") == ("aarch64", "armv7l")
    assert architectures.native("i586") == ("i686",)


def test_debian_has_its_own_names() -> None:
    assert architectures.debian("x86_64") == "amd64"
    assert architectures.debian("armv7l") == "armhf"


def test_no_name_and_no_number_is_used_twice() -> None:
    rows = architectures.ARCHITECTURES
    every = [name for row in rows for name in {row.name, row.debian, *row.aliases}]
    assert len(every) == len(set(every))
    assert len({row.number for row in rows}) == len(rows)
    assert all(architectures.canonical(other) == other for row in rows for other in row.runs)
