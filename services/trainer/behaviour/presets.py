"""Configurations that were measured; the figures stand in the documentation of benchmarks."""

from __future__ import annotations

from services.trainer.behaviour.items import ItemEncoderConfig
from services.trainer.behaviour.losses import LossConfig, LossKind
from services.trainer.behaviour.model import ModelConfig
from services.trainer.behaviour.objectives import ObjectiveConfig, ObjectiveKind
from services.trainer.behaviour.optimisation import OptimiserConfig
from services.trainer.behaviour.sequences import SequenceConfig
from services.trainer.behaviour.training import TrainingConfig
from services.trainer.behaviour.users import UserEncoderConfig
from services.trainer.behaviour.windows import WindowConfig

ML1M = TrainingConfig(
    model=ModelConfig(
        users=UserEncoderConfig(dimension=128, gaps=False, query_time=False, dropout=0.25),
        loss=LossConfig(kind=LossKind.FULL_SOFTMAX),
    ),
    optimiser=OptimiserConfig(rate=2e-3, weight_decay=0.05, average_decay=0.999),
    epochs=40,
    validation_users=0,
)
"""MovieLens 1M: long sequences of 3,416 products, no text, no times."""

AMAZON = TrainingConfig(
    windows=WindowConfig(tokens=1024),
    model=ModelConfig(
        items=ItemEncoderConfig(id_dropout=0.5, unit_norm=True),
        users=UserEncoderConfig(dimension=128, length=50, gaps=False, query_time=False, dropout=0.5),
        loss=LossConfig(kind=LossKind.FULL_SOFTMAX),
    ),
    optimiser=OptimiserConfig(rate=2e-3, weight_decay=0.1, average_decay=0.99),
    epochs=20,
    validation_users=0,
)
"""Amazon Office: 3,231 short sequences; most of what is known of a product is its text."""

DEMO = TrainingConfig(
    sequences=SequenceConfig(first_only=True),
    windows=WindowConfig(latest=2),
    objective=ObjectiveConfig(kind=ObjectiveKind.HORIZON, pairs=32, half_life_days=42.0),
    model=ModelConfig(
        items=ItemEncoderConfig(id_dropout=0.1),
        users=UserEncoderConfig(dimension=64, dropout=0.2),
        loss=LossConfig(kind=LossKind.FULL_SOFTMAX, exclude_met=True),
    ),
    optimiser=OptimiserConfig(rate=2e-3, average_decay=0.99),
    popularity_start=True,
    epochs=2,
    least_steps=150,
    validation_users=0,
)
"""A grocer's baskets: what is bought within four weeks and new to the household."""
