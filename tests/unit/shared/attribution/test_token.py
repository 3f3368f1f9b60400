from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.attribution.token import MOST_EXPOSURES, VERSION, Attribution, TokenSigner, product_hash, read_stored
from shared.errors.base import InvalidArgument

NOW = 1_700_000_000
SHOWN = Attribution("req", "shop", "r1", "home", NOW, tuple(product_hash(f"p{n}") for n in range(100)), 20)


def test_a_token_says_what_was_shown_and_stays_small() -> None:
    signer = TokenSigner(b"k" * 32)
    token = signer.sign(SHOWN)
    assert len(token) <= 4096
    read = signer.read(token)
    assert read == SHOWN
    assert (read.position("p3"), read.position("other")) == (23, None)
    assert signer.holds(token, "shop")
    assert not signer.holds(token, "another-shop")
    assert not TokenSigner(b"x" * 32).holds(token, "shop")


def test_a_token_names_the_variants_that_made_the_answer_and_stays_small() -> None:
    signer = TokenSigner(b"k" * 32)
    most = tuple((f"experiment-{n}".ljust(40, "x"), f"variant-{n}".ljust(24, "y")) for n in range(MOST_EXPOSURES))
    token = signer.sign(replace(SHOWN, exposures=most))
    assert signer.read(token).exposures == most
    assert len(token) - len(signer.sign(SHOWN)) < 400
    more = replace(SHOWN, exposures=(*most, ("one", "more")))
    assert signer.read(signer.sign(more)).exposures == most


@pytest.mark.parametrize(
    "rest", [[[]], [[["a"]]], [[["a", 1]]], [[["a", "b" * 41]]], [["ab"]], [{}], [[["a", "b"]], 1]]
)
def test_a_token_with_another_kind_of_exposures_is_no_token(rest: list[object]) -> None:
    header = ["req", "shop", "r1", "home", NOW, 20, *rest]
    payload = zlib.compress(json.dumps(header).encode() + b"\n")
    raw = bytes([VERSION]) + b"m" * 16 + payload
    assert read_stored(base64.urlsafe_b64encode(raw).decode().rstrip("=")) is None


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(payload: bytes) -> None:
    signer = TokenSigner(b"k" * 32)
    with pytest.raises(InvalidArgument):
        signer.read(base64.urlsafe_b64encode(payload).decode().rstrip("="))


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_token_does_not_hold(place: int, change: int) -> None:
    signer = TokenSigner(b"k" * 32)
    token = signer.sign(SHOWN)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[place % len(raw)] ^= change
    assert not signer.holds(base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("="), "shop")


def test_a_stored_token_is_read_without_the_key() -> None:
    assert read_stored(TokenSigner(b"k" * 32).sign(SHOWN)) == SHOWN


def test_a_product_that_stands_twice_has_its_first_position() -> None:
    twice = Attribution("req", "shop", "r1", "home", NOW, tuple(map(product_hash, "abab")), 3)
    assert (twice.position("a"), twice.position("b")) == (3, 4)


@given(st.one_of(st.text(max_size=80), st.binary(max_size=80).map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_no_text_breaks_the_reader_without_key(token: str) -> None:
    assert read_stored(token) is None


@pytest.mark.parametrize(
    "header",
    [
        5,
        ["req", "shop", "r1", "home", "now", 0],
        ["req", "shop", "r1", "home", NOW],
        ["req", "shop", "\ud800", "home", NOW, 0],
        ["req", "shop", "r1", "home", -1, 0],
        ["req", "shop", "r1", "home", NOW, 1 << 40],
    ],
)
def test_a_header_of_another_layout_is_no_token(header: object) -> None:
    payload = zlib.compress(json.dumps(header).encode() + b"\n")
    token = base64.urlsafe_b64encode(bytes([VERSION]) + b"m" * 16 + payload).decode()
    assert read_stored(token) is None


def test_a_header_nested_too_deep_is_no_token() -> None:
    payload = zlib.compress(b"[" * 16_000)
    assert read_stored(base64.urlsafe_b64encode(bytes([VERSION]) + b"m" * 16 + payload).decode()) is None
