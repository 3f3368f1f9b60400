"""How well two models agree."""

import doctest

import numpy as np
import pytest

from services.encoder.modelrepo import agreement as module
from services.encoder.modelrepo.agreement import agreement


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0


def test_a_little_noise_costs_a_little() -> None:
    random = np.random.default_rng(2)
    texts, queries = unit(random.standard_normal((200, 64))), unit(random.standard_normal((20, 64)))
    noisy = tuple(unit(part + 0.01 * random.standard_normal(part.shape)) for part in (texts, queries))
    found = agreement((texts, queries), noisy)
    assert 0.99 < found.cosine_min < found.cosine_mean < 1
    assert 0.8 < found.recall_at_10 < 1
    assert 0.98 < found.pearson < 1


def test_unrelated_models_do_not_agree() -> None:
    random = np.random.default_rng(3)
    parts = [unit(random.standard_normal((count, 64))) for count in (200, 20, 200, 20)]
    found = agreement((parts[0], parts[1]), (parts[2], parts[3]))
    assert found.cosine_mean == pytest.approx(0, abs=0.05)
    assert found.recall_at_10 < 0.2
