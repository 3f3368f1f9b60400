"""Receipts: only what this key signed, unchanged, is valid."""

from __future__ import annotations

import json
import re

import pytest

from shared.privacy.receipt import InvalidReceipt, ReceiptSigner, verify

SIGNER = ReceiptSigner(bytes(range(32)))
PAYLOAD = {"format": "mercato.erasure.v1", "stores": [{"store": "profile", "erased": {"events": 3}}]}


def test_a_receipt_comes_back_as_it_was_signed() -> None:
    receipt = SIGNER.sign(PAYLOAD)
    assert verify(receipt, SIGNER.jwk) == PAYLOAD
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", receipt), "compact form, RFC 7515"


def test_the_key_is_named_by_its_thumbprint() -> None:
    # RFC 8037, appendix A.3, gives the thumbprint of the key in appendix A.1.
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert ReceiptSigner(seed).key_id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("change", ["payload", "signature", "header", "truncated", "text"])
def test_a_changed_receipt_is_refused(change: str) -> None:
    header, payload, signature = SIGNER.sign(PAYLOAD).split(".")
    forged = {
        "payload": f"{header}.{payload[:-2]}AA.{signature}",
        "signature": f"{header}.{payload}.{signature[:-3]}AAA",
        "header": f"eyJhbGciOiJub25lIn0.{payload}.",
        "truncated": f"{header}.{payload}",
        "text": "no.receipt.ü",
    }[change]
    with pytest.raises(InvalidReceipt):
        verify(forged, SIGNER.jwk)


def test_another_key_does_not_verify() -> None:
    with pytest.raises(InvalidReceipt, match="another key"):
        verify(SIGNER.sign(PAYLOAD), ReceiptSigner(bytes(32)).jwk)


@pytest.mark.parametrize("key", ["", "{}", "[]", json.dumps({"kty": "OKP", "crv": "Ed25519", "x": "AA"})])
def test_what_is_no_key_is_named_so(key: str) -> None:
    with pytest.raises(InvalidReceipt, match="key"):
        verify(SIGNER.sign(PAYLOAD), key)
