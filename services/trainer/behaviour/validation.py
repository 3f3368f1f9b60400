"""Validation: the last event of some users, hidden from training, is to be ranked among all products.

Legend: Q users asked about, L places, P products.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from services.trainer.behaviour.model import BehaviourModel
from services.trainer.behaviour.objectives import padded
from services.trainer.behaviour.sequences import Sequences
from services.trainer.domain import Floats, Longs

CUTOFF = 10
CHUNK = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Windows of rows `[Q, 2]` that are read, the moment of each request `[Q]`, and what is right."""

    sequences: Sequences
    windows: Longs
    moments_s: Longs
    truth: tuple[Longs, ...] = field(default=())
    hidden: tuple[Longs, ...] = field(default=())
    """Products that are not ranked: those met before, when only new ones are foretold."""


def hold_out(
    sequences: Sequences, users: int, length: int, first_only: bool, generator: np.random.Generator
) -> tuple[Sequences, Questions]:
    """Takes the last event with targets of up to `users` random users out of the sequences, and asks for it."""
    ends = np.concatenate([[0], np.cumsum(sequences.event_ends())])
    numbers = ends[:-1]  # the event each row belongs to
    candidates = []
    for user in generator.permutation(len(sequences.starts) - 1) if users else ():
        begin, end = sequences.starts[user], sequences.starts[user + 1]
        if end - begin < 2 or numbers[begin] == numbers[end - 1]:
            continue
        last = begin + int(np.searchsorted(numbers[begin:end], numbers[end - 1]))
        right = np.unique(sequences.products[last:end][sequences.targets[last:end]])
        if len(right):
            candidates.append((int(begin), last, int(end), right))
        if len(candidates) == users:
            break
    kept = np.ones(len(sequences), np.bool_)
    for _, last, end, _ in candidates:
        kept[last:end] = False
    windows = np.array([(max(begin, last - length), last) for begin, last, _, _ in candidates], np.int64).reshape(-1, 2)
    hidden = tuple(
        np.unique(sequences.products[begin:last]) if first_only else np.zeros(0, np.int64)
        for begin, last, _, _ in candidates
    )
    questions = Questions(
        sequences=sequences,
        windows=windows,
        moments_s=np.array([sequences.times_s[last] for _, last, _, _ in candidates], np.int64),
        truth=tuple(right for _, _, _, right in candidates),
        hidden=hidden,
    )
    return sequences.where(kept), questions


def ndcg(model: BehaviourModel, questions: Questions) -> float:
    """Mean over users of sum 1 / log2(1 + rank) over right products in the first ten, by its best possible value."""
    gains = []
    for start in range(0, len(questions.windows), CHUNK):
        part = slice(start, start + CHUNK)
        scores = user_scores(model, questions.sequences, questions.windows[part], questions.moments_s[part])
        for row, truth, hidden in zip(scores, questions.truth[part], questions.hidden[part], strict=True):
            row[hidden] = -np.inf
            top = np.argsort(-row, kind="stable")[:CUTOFF]
            discounts = 1.0 / np.log2(np.arange(2, CUTOFF + 2))
            gains.append((np.isin(top, truth) * discounts[: len(top)]).sum() / discounts[: len(truth)].sum())
    return float(np.mean(gains))


@torch.inference_mode()
def user_vectors(model: BehaviourModel, sequences: Sequences, windows: Longs, moments_s: Longs) -> torch.Tensor:
    """Vectors of users who did what is in the windows, at a moment each."""
    rows_QL, valid_QL = padded(windows)
    kinds_QL = np.where(valid_QL, sequences.kinds[rows_QL], 0)
    ages_QL = np.maximum(moments_s[:, None] - sequences.times_s[rows_QL], 0).astype(np.float32)
    device = model.items.device
    vectors = model.items(torch.from_numpy(sequences.products[rows_QL].ravel()).to(device))
    vectors_QLD = vectors.view(*rows_QL.shape, -1)
    output: torch.Tensor = model.users(
        vectors_QLD, torch.from_numpy(kinds_QL).to(device), torch.from_numpy(ages_QL).to(device)
    )
    return output


@torch.inference_mode()
def item_vectors(model: BehaviourModel) -> torch.Tensor:
    """Vectors of the whole vocabulary `[P, D]`."""
    count = model.items.ids.num_embeddings
    device = model.items.device
    parts = [
        model.items(torch.arange(start, min(start + 8192, count), device=device)) for start in range(0, count, 8192)
    ]
    return torch.cat(parts)


@torch.inference_mode()
def user_scores(model: BehaviourModel, sequences: Sequences, windows: Longs, moments_s: Longs) -> Floats:
    """Scores `[Q, P]` in the vocabulary's order. The model must be in evaluation mode."""
    vectors = user_vectors(model, sequences, windows, moments_s)
    scores: Floats = (vectors @ item_vectors(model).T).float().cpu().numpy()
    return scores
