"""The behaviour model's products as a release holds them: vectors and vocabulary."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from shared.errors.base import Unavailable
from shared.release.reader import ReleaseReader

Floats = npt.NDArray[np.float32]
ITEM_VECTORS, VOCABULARY, BEHAVIOUR = "item_vectors.safetensors", "vocabulary.json", "behaviour.json"
USER_ENCODER, ITEM_ENCODER = "user_encoder.onnx", "item_encoder.onnx"


@dataclass(frozen=True, slots=True)
class BehaviourProducts:
    """Vectors `[P, D]` by position in `product_ids`, and the numbers of names; 0 is the unknown name."""

    product_ids: tuple[str, ...]
    vectors: Floats
    categories: Mapping[str, int]
    parents: Mapping[str, int]
    brands: Mapping[str, int]


async def read_products(reader: ReleaseReader) -> BehaviourProducts | None:
    """None: the release has no behaviour model. Raises Unavailable, NotFound."""
    if not reader.has(ITEM_VECTORS, VOCABULARY):
        return None
    vocabulary = await reader.document(VOCABULARY)
    tensors = await asyncio.to_thread(load, await reader.artifact(ITEM_VECTORS))
    vectors, product_ids = tensors["vectors"], tuple(vocabulary["product_ids"])
    if vectors.shape[0] != len(product_ids):
        detail = f"{len(product_ids)} products, {vectors.shape[0]} vectors"
        raise Unavailable("trainer", metadata={"detail": f"release {reader.release_id} does not fit: {detail}"})
    return BehaviourProducts(
        product_ids=product_ids,
        vectors=vectors.astype(np.float32),
        categories=_numbers(vocabulary["categories"]),
        parents=_numbers(vocabulary["parents"]),
        brands=_numbers(vocabulary["brands"]),
    )


def _numbers(names: list[Any]) -> dict[str, int]:
    return {str(name): number for number, name in enumerate(names)}
