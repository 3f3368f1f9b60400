"""The behaviour model as a recommender: trains on rows, ranks all products for users.

Legend: U users asked about, P products of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from services.trainer.behaviour.artifacts import load_vocabulary, load_weights, save_model, take_over
from services.trainer.behaviour.features import ItemFeatures, Vocabulary, positions
from services.trainer.behaviour.model import BehaviourModel
from services.trainer.behaviour.objectives import weights
from services.trainer.behaviour.runtime import process_group
from services.trainer.behaviour.sequences import Sequences
from services.trainer.behaviour.training import Outcome, Trainer, TrainingConfig
from services.trainer.behaviour.validation import Questions, hold_out, item_vectors, user_vectors
from services.trainer.domain import Floats, Ints, Longs
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.recommenders.errors import InsufficientData
from services.trainer.recommenders.interface import Report

CHUNK = 128
TYPICAL_USERS = 512
"""Users whose mean vector stands for one without rows."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a training left."""

    model: BehaviourModel
    vocabulary: Vocabulary
    sequences: Sequences
    numbers: Longs
    """The vocabulary's number of each product of the rows `[P]`."""
    outcome: Outcome


class BehaviourRecommender:
    """Implements `Recommender`."""

    def __init__(
        self,
        config: TrainingConfig,
        name: str = "behaviour",
        folder: Path | None = None,
        previous: Path | None = None,
    ) -> None:
        """`folder` takes checkpoints; `previous` is the folder of an earlier model to continue from."""
        self.name = name
        self.config = config
        self.folder = folder
        self.previous = previous
        self._fitted: Fitted | None = None

    @property
    def fitted(self) -> Fitted:
        """Raises InsufficientData before `fit`."""
        if self._fitted is None:
            raise InsufficientData(self.name, "call fit before asking for scores")
        return self._fitted

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        vocabulary = load_vocabulary(self.previous) if self.previous else Vocabulary(product_ids=())
        vocabulary = vocabulary.grown(rows.product_ids, content)
        numbers = positions(vocabulary.product_ids, rows.product_ids)
        sequences = Sequences.of(rows, numbers, self.config.sequences)
        self._check(sequences)
        learned, questions = self._held_out(sequences)
        features = ItemFeatures.of(vocabulary, rows.product_ids, content, np.unique(learned.products))
        model = self._model(features, learned)
        with process_group():
            outcome = Trainer(self.config, model, (learned, questions), self.folder, report).run()
        self._fitted = Fitted(
            model=model.cpu(), vocabulary=vocabulary, sequences=sequences, numbers=numbers, outcome=outcome
        )

    def scores(self, users: Ints, now_s: int) -> Floats:
        vectors = torch.from_numpy(self.user_vectors(users, now_s))
        products = item_vectors(self.fitted.model)[torch.from_numpy(self.fitted.numbers)]
        scores: Floats = (vectors @ products.T).numpy()
        return scores

    def user_vectors(self, users: Ints, now_s: int) -> Floats:
        """Vectors `[U, D]` from all rows that were fitted; users without rows get the mean of others."""
        counts = np.diff(self.fitted.sequences.starts)
        known = (users >= 0) & (users < len(counts))
        known[known] = counts[users[known]] > 0
        vectors = np.empty((len(users), self.config.model.users.dimension), np.float32)
        vectors[known] = self._encoded(users[known].astype(np.int64), now_s)
        if not known.all():
            active = np.flatnonzero(counts)
            vectors[~known] = self._encoded(active[:: len(active) // TYPICAL_USERS + 1], now_s).mean(0)
        return vectors

    def item_vectors(self) -> Floats:
        """Vectors of the rows' products `[P, D]`."""
        vectors: Floats = item_vectors(self.fitted.model)[torch.from_numpy(self.fitted.numbers)].numpy()
        return vectors

    def save(self, folder: Path) -> None:
        """Writes the artifacts that serving and the next training read."""
        fitted = self.fitted
        save_model(folder, fitted.model, fitted.vocabulary, self.config, fitted.outcome)

    def _encoded(self, users: Longs, now_s: int) -> Floats:
        """Vectors of users who have rows."""
        fitted, vectors = self.fitted, [np.zeros((0, self.config.model.users.dimension), np.float32)]
        for start in range(0, len(users), CHUNK):
            asked = users[start : start + CHUNK]
            ends = fitted.sequences.starts[asked + 1]
            begins = np.maximum(fitted.sequences.starts[asked], ends - self.config.model.users.length)
            windows, moments = np.stack([begins, ends], axis=1), np.full(len(asked), now_s, np.int64)
            vectors.append(user_vectors(fitted.model, fitted.sequences, windows, moments).numpy())
        return np.concatenate(vectors)

    def _check(self, sequences: Sequences) -> None:
        if not len(sequences):
            kinds = ", ".join(kind.name.lower() for kind in self.config.sequences.inputs)
            raise InsufficientData(self.name, f"no rows of the types {kinds}")
        if not learnable(sequences):
            raise InsufficientData(self.name, "no user has two events of which the later can be foretold")

    def _held_out(self, sequences: Sequences) -> tuple[Sequences, Questions | None]:
        """What is learned from, and validation of at most a tenth of the users; a small shop has none to spare."""
        users = min(self.config.validation_users, (len(sequences.starts) - 1) // 10)
        generator, length = np.random.default_rng(self.config.seed), self.config.model.users.length
        learned, questions = hold_out(sequences, users, length, self.config.sequences.first_only, generator)
        return (learned, questions) if len(questions.windows) and learnable(learned) else (sequences, None)

    def _model(self, features: ItemFeatures, learned: Sequences) -> BehaviourModel:
        torch.manual_seed(self.config.seed)
        users = replace(self.config.model.users, causal=self.config.objective.causal)
        counts = np.bincount(learned.products[learned.targets], minlength=len(features))
        model = BehaviourModel(replace(self.config.model, users=users), features, torch.from_numpy(counts))
        if self.previous:
            take_over(model, load_weights(self.previous))
        elif self.config.popularity_start:
            times_s, products = learned.times_s[learned.targets], learned.products[learned.targets]
            recent = weights(self.config.objective, times_s, int(learned.times_s.max()))
            model.start_with_popularity(torch.from_numpy(np.bincount(products, recent, len(features))))
        return model


def learnable(sequences: Sequences) -> bool:
    """Whether anything is foretold from anything."""
    counts = np.diff(sequences.starts)
    return bool(counts.max(initial=0) > 1 and sequences.targets.any())
