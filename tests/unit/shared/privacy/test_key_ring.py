"""The key ring: sealed content opens where it belongs, through a rotation, and never after its key is gone."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.privacy.key_ring import KeyRing, Unsealable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "personal.json"


def test_sealed_content_opens_where_it_is_bound_to(path: Path) -> None:
    ring = KeyRing(path)
    sealed = ring.seal(b"ann@example.org", b"here")
    assert b"ann" not in sealed
    assert ring.open(sealed, b"here") == b"ann@example.org"
    assert ring.seal(b"ann@example.org", b"here") != sealed, "equal content looks different"
    for place, content in ((b"there", sealed), (b"here", sealed[:-1] + bytes([sealed[-1] ^ 1])), (b"here", b"")):
        with pytest.raises(Unsealable):
            ring.open(content, place)


def test_hashes_differ_by_tenant_and_kind_and_survive_a_rotation(path: Path) -> None:
    ring = KeyRing(path)
    found = ring.hash("a", "user", "ann")
    assert len({found, ring.hash("b", "user", "ann"), ring.hash("a", "visitor", "ann")}) == 3
    ring.add_key()
    assert ring.hash("a", "user", "ann") == KeyRing(path).hash("a", "user", "ann") == found


def test_old_content_opens_until_its_key_is_destroyed(path: Path) -> None:
    ring, other_process = KeyRing(path), KeyRing(path)
    old = ring.seal(b"old", b"")
    assert ring.add_key() == 2
    new = ring.seal(b"new", b"")
    assert (KeyRing.number_of(old), KeyRing.number_of(new)) == (1, 2)
    assert (ring.open(old, b""), other_process.open(new, b"")) == (b"old", b"new")
    assert ring.destroy_keys_before(2) == [1]
    assert ring.destroy_keys_before(99) == [], "the current key stays"
    with pytest.raises(Unsealable, match="key 1"):
        ring.open(old, b"")
    assert ring.open(new, b"") == b"new"


def test_the_file_is_its_owners_alone_and_made_once(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: KeyRing(path), range(16)))
    assert len({ring.hash("t", "user", "u") for ring in rings}) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["personal.json"]


def test_no_key_is_shown(path: Path) -> None:
    ring = KeyRing(path)
    text = path.read_text()
    assert not any(word in text for word in repr(vars(ring)).replace("'", " ").split() if len(word) == 64)
