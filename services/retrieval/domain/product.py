"""What the index holds of products and passages."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.facets import Facets

Vector = npt.NDArray[np.float32]
UNKNOWN_PRICE = -1
CATEGORY_LEVELS = 8


@dataclass(frozen=True, slots=True)
class Product:
    """A product without its vector and words. Price in millionths of a unit, -1: unknown."""

    product_id: str
    category_path: tuple[str, ...] = ()
    brand: str = ""
    price_micros: int = UNKNOWN_PRICE
    available: bool = True
    publish_time_s: int = 0
    change_number: int = 0
    facets: Facets = field(default_factory=Facets)


@dataclass(frozen=True, slots=True)
class IndexedProduct:
    """A product as it is written to and read from an index. The vector is None when it was not asked for."""

    product: Product
    vector: Vector | None
    keywords: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """Price and availability of a product, as of a change."""

    product_id: str
    price_micros: int
    available: bool
    change_number: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a support document."""

    passage_id: str
    document_id: str
    revision: str
    text: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage that a channel brought."""

    passage_id: str
    document_id: str
    revision: str
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A product that a channel brought; higher scores are better."""

    product_id: str
    score: float
