"""What the encoder's use cases need from outside."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.encoder.behaviour import BehaviourRelease
from services.encoder.domain import ModelRelease
from shared.triton.graphs import Graph

TokenIds = list[int]
Vectors = NDArray[np.float32]


class Tokenizer(Protocol):
    """Cuts texts into tokens as the model was trained on."""

    async def token_ids(self, texts: Sequence[str]) -> list[TokenIds]:
        """Token ids of each text, special tokens included, cut at the model's limit. At least one token a text."""
        ...


class TextModel(Protocol):
    """Turns tokens into vectors."""

    @property
    def release(self) -> ModelRelease:
        """Which model answers; the same for the life of the object."""
        ...

    async def encode(self, token_ids: Sequence[TokenIds], *, urgent: bool) -> Vectors:
        """Unit vectors, float32 [texts, dimension], in order. A text's vector does not depend on its neighbours.
        What is ``urgent`` goes before what is not.

        Raises Unavailable (dependency ``triton``), ModelMismatch, BrokenVectors.
        """
        ...

    async def check(self) -> None:
        """Encodes something for real. Raises as ``encode`` does."""
        ...


class VectorCache(Protocol):
    """Remembers vectors as bytes (little endian float32) by the hash of their content.

    Keys hold the model's release and no tenant: equal texts have equal vectors whoever asks, and a key tells
    nothing about who stored it. A cache may forget anything at any time.
    """

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What is known of ``keys``; unknown ones are left out."""
        ...

    async def put_many(self, vectors: Mapping[bytes, bytes]) -> None:
        """Remembers. An existing key is overwritten."""
        ...


class BehaviourReleases(Protocol):
    """The trainer's releases as they are held. No method waits."""

    def of(self, tenant: str, release_id: str = "") -> BehaviourRelease | None:
        """A release, the current one for an empty id; None: it is not held."""
        ...

    def held(self, tenant: str) -> list[str]:
        """The ids of all that are held."""
        ...


class GraphRunner(Protocol):
    """Runs ONNX graphs."""

    async def run(self, graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs in the graph's order. Raises Unavailable (dependency ``triton``), Internal."""
        ...
