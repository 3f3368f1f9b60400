"""A small made-up shop: users walk along a ring of products, so the next product follows from the last ones."""

from __future__ import annotations

import numpy as np

from services.trainer.behaviour.items import ItemEncoderConfig
from services.trainer.behaviour.losses import LossConfig, LossKind
from services.trainer.behaviour.model import ModelConfig
from services.trainer.behaviour.objectives import ObjectiveConfig
from services.trainer.behaviour.optimisation import OptimiserConfig
from services.trainer.behaviour.runtime import Precision
from services.trainer.behaviour.training import TrainingConfig
from services.trainer.behaviour.users import UserEncoderConfig
from services.trainer.behaviour.windows import WindowConfig
from services.trainer.learning.categories import number_categories
from services.trainer.learning.interactions import EventKind, Interactions, ItemContent

DAY_S = 86_400
PRODUCTS = 20


def ring(users: int = 40, length: int = 12, products: int = PRODUCTS, start_s: int = 0, seed: int = 0) -> Interactions:
    """User u starts anywhere and buys the next product of the ring once a day."""
    starts = np.random.default_rng(seed).integers(products, size=users)
    steps = np.tile(np.arange(length), users)
    return rows(
        np.repeat(np.arange(users), length), (np.repeat(starts, length) + steps) % products, steps, products, start_s
    )


def rows(users: object, products: object, days: object, count: int, start_s: int = 0) -> Interactions:
    """Purchases; each row is an event of its own."""
    users_, products_ = np.asarray(users, np.int32), np.asarray(products, np.int32)
    times = np.asarray(days, np.int64) * DAY_S + start_s
    return Interactions.of(
        tuple(f"p{n}" for n in range(count)),
        int(users_.max(initial=-1)) + 1,
        (users_, products_, np.full(len(users_), EventKind.PURCHASE, np.int8), times, np.arange(len(users_))),
    )


def content(products: int = PRODUCTS, seed: int = 0) -> ItemContent:
    """Text vectors that tell where on the ring a product is; two categories under one parent; three brands."""
    angles = 2 * np.pi * np.arange(products) / products
    text = np.stack([np.cos(angles), np.sin(angles), np.cos(2 * angles), np.sin(2 * angles)], axis=1) / np.sqrt(2)
    ids = [f"p{n}" for n in range(products)]
    return ItemContent(
        categories=number_categories(ids, {name: ("shop", f"c{n % 2}") for n, name in enumerate(ids)}),
        brands=(np.arange(products) % 3).astype(np.int32),
        brand_names=("", "a", "b"),
        prices=np.ones(products, np.float32),
        publish_times_s=np.zeros(products, np.int64),
        text_vectors=text.astype(np.float32),
    )


def config(
    objective: ObjectiveConfig | None = None,
    loss: LossKind = LossKind.FULL_SOFTMAX,
    users: UserEncoderConfig | None = None,
    **changes: object,
) -> TrainingConfig:
    """Small and quick."""
    given = {
        "epochs": 40,
        "validation_users": 0,
        "windows": WindowConfig(tokens=512),
        "optimiser": OptimiserConfig(rate=3e-2),
        "precision": Precision.FP32,
        **changes,
    }
    return TrainingConfig(
        objective=objective or ObjectiveConfig(),
        model=ModelConfig(
            items=ItemEncoderConfig(id_dropout=0.3, text_dropout=0.0),
            users=users or UserEncoderConfig(dimension=16, length=10, blocks=1, dropout=0.0, query_time=False),
            loss=LossConfig(kind=loss, negatives=16),
        ),
        **given,  # type: ignore[arg-type]
    )
