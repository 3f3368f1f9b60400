"""What is encoded, under which key a vector is known, and how alike two vectors are."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRODUCT_CHARACTERS = 2_000
"""A product's text ends here: more than 256 tokens of ordinary text, so that what is cut is cut by the model."""
ATTRIBUTE_CHARACTERS = 160
"""One attribute's share at most, so that one long value does not push out the others."""


@dataclass(frozen=True, slots=True)
class ModelRelease:
    """The model behind the vectors. Vectors of different ``release_id`` must never be compared."""

    release_id: str
    name: str
    dimension: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class ProductText:
    """What is known of a product in words."""

    title: str
    brand: str = ""
    category_path: tuple[str, ...] = ()
    attribute_texts: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors in the order of the request, each as little endian float32 bytes."""

    vectors: list[bytes]
    release: ModelRelease


@dataclass(frozen=True, slots=True)
class Similarity:
    """How alike two vectors are, each from -1 to 1."""

    cosine: float
    pearson: float


def product_text(product: ProductText) -> str:
    """One text of a product: title, brand, categories (the most particular first), attributes, description.

    What says most comes first, because the model cuts at its limit. Words that stand in an earlier part are not
    said again: a repeated brand or category would pull products together for no reason.
    """
    said = ""
    for part in _parts(product):
        words = " ".join(part.split())
        if not words or words.casefold() in said.casefold():
            continue
        said = f"{said}. {words}" if said else words
        if len(said) >= PRODUCT_CHARACTERS:
            break
    return said[:PRODUCT_CHARACTERS].rstrip()


def _parts(product: ProductText) -> Iterator[str]:
    yield product.title
    yield product.brand
    yield from reversed(product.category_path)
    yield from (text[:ATTRIBUTE_CHARACTERS] for text in product.attribute_texts)
    yield product.description[: 2 * PRODUCT_CHARACTERS]


def content_key(release_id: str, text: str) -> bytes:
    """16 bytes that name the vector of ``text`` under a release."""
    return hashlib.blake2b(f"{release_id}\0{text}".encode(), digest_size=16).digest()


def similarity(first: bytes, second: bytes) -> Similarity:
    """Cosine, and Pearson correlation over the dimensions: the cosine of the vectors after each is centred.

    A vector without any variation correlates with nothing: 0.

    >>> vector = np.array([0.6, 0.8], "<f4").tobytes()
    >>> similarity(vector, vector)
    Similarity(cosine=1.0, pearson=1.0)
    """
    u, v = (np.frombuffer(vector, "<f4").astype(np.float64) for vector in (first, second))
    return Similarity(cosine=_cosine(u, v), pearson=_cosine(u - u.mean(), v - v.mean()))


def _cosine(u: NDArray[np.float64], v: NDArray[np.float64]) -> float:
    length = math.sqrt(float(u @ u) * float(v @ v))
    return max(-1.0, min(1.0, round(float(u @ v) / length, 12))) if length else 0.0


def batches(lengths: Sequence[int], *, texts: int, tokens: int) -> list[list[int]]:
    """Groups of indices for one request each: by rising length, so that little is padding.

    A group has at most ``texts`` members and, padded to its longest, at most ``tokens`` tokens (a single longer
    text stands alone).
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda at: lengths[at]):
        if groups and len(groups[-1]) < texts and (len(groups[-1]) + 1) * lengths[index] <= tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
