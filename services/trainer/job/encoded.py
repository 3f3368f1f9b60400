"""What a behaviour model, as a release holds it, says of everybody as of a moment: the vectors that serving would use.

Runs the exported graphs, not the model that was trained, so that what is measured is what is served.

Legend: U users, P products, B users of a batch, L rows of a sequence, D components.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from safetensors.numpy import load_file

from services.trainer.behaviour.artifacts import ITEM_ENCODER, ITEM_VECTORS, USER_ENCODER, VOCABULARY
from services.trainer.domain import Floats, Longs
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.ranker.candidates import BehaviourVectors
from shared.naming.category_path import parent_of

LENGTH, BATCH = 200, 64


class EncodedBehaviour:
    """The behaviour model in a folder of artifacts."""

    def __init__(self, folder: Path, rows: Interactions, content: ItemContent, threads: int) -> None:
        self._folder = folder
        self._rows = rows
        self._content = content
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._kept: dict[int, BehaviourVectors] = {}

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a folder holds a behaviour model."""
        return all((folder / name).exists() for name in (USER_ENCODER, ITEM_ENCODER, ITEM_VECTORS, VOCABULARY))

    def at(self, cut_s: int) -> BehaviourVectors:
        """Vectors of all users and products from rows before the cut; zeros for users without any."""
        if cut_s not in self._kept:
            self._kept[cut_s] = BehaviourVectors(self._users(self._rows.before(cut_s), cut_s), self._products)
        return self._kept[cut_s]

    def _users(self, rows: Interactions, cut_s: int) -> Floats:
        session = ort.InferenceSession(str(self._folder / USER_ENCODER), self._options)
        starts, vectors = rows.starts(), np.zeros((rows.user_count, self._products.shape[1]), np.float32)
        known = np.flatnonzero(np.diff(starts) > 0)
        for begin in range(0, len(known), BATCH):
            users = known[begin : begin + BATCH]
            vectors[users] = session.run(None, self._inputs(rows, starts, users, cut_s))[0]
        return vectors

    def _inputs(
        self, rows: Interactions, starts: Longs, users: Longs, cut_s: int
    ) -> dict[str, npt.NDArray[np.generic]]:
        """Left padded: the latest row stands last."""
        ends, lengths = starts[users + 1], np.minimum(np.diff(starts)[users], LENGTH)
        width = int(lengths.max())
        places_BL = ends[:, None] - width + np.arange(width)[None, :]
        inside_BL = np.arange(width)[None, :] >= (width - lengths)[:, None]
        places_BL = np.where(inside_BL, places_BL, 0)
        return {
            "item_vectors": np.where(inside_BL[..., None], self._products[rows.products[places_BL]], 0.0).astype(
                np.float32
            ),
            "kinds": np.where(inside_BL, rows.kinds[places_BL], 0).astype(np.int64),
            "ages_s": np.where(inside_BL, cut_s - rows.times_s[places_BL], 0).astype(np.float32),
        }

    @cached_property
    def _products(self) -> Floats:
        """Learnt vectors, and made ones for products that the model never saw `[P, D]`."""
        vocabulary = json.loads((self._folder / VOCABULARY).read_bytes())
        learnt: Floats = load_file(self._folder / ITEM_VECTORS)["vectors"].astype(np.float32)
        numbers = {product_id: number for number, product_id in enumerate(vocabulary["product_ids"])}
        places = np.array([numbers.get(product_id, -1) for product_id in self._rows.product_ids], np.int64)
        vectors = np.zeros((len(places), learnt.shape[1]), np.float32)
        vectors[places >= 0] = learnt[places[places >= 0]]
        cold = np.flatnonzero(places < 0)
        if len(cold):
            vectors[cold] = self._made(cold, vocabulary)
        return vectors

    def _made(self, cold: Longs, vocabulary: dict[str, list[str]]) -> Floats:
        session = ort.InferenceSession(str(self._folder / ITEM_ENCODER), self._options)
        content, width = self._content, session.get_inputs()[0].shape[1]
        names = {key: {name: number for number, name in enumerate(vocabulary[key])} for key in vocabulary}
        leaves = [content.categories.leaves[leaf] for leaf in content.categories.leaf_indexes[cold]]
        texts = content.text_vectors[cold]
        made: Floats = session.run(
            None,
            {
                "text_vectors": texts if texts.shape[1] == width else np.zeros((len(cold), width), np.float32),
                "categories": np.array([names["categories"].get(leaf, 0) for leaf in leaves], np.int64),
                "parents": np.array([names["parents"].get(parent_of(leaf), 0) for leaf in leaves], np.int64),
                "brands": np.array(
                    [names["brands"].get(content.brand_names[brand], 0) for brand in content.brands[cold]], np.int64
                ),
            },
        )[0]
        return made
