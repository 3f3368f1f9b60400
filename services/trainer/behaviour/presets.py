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

ML1M = TrainingConfig(
    model=ModelConfig(
        users=UserEncoderConfig(dimension=128, gaps=False, query_time=False, dropout=0.3),
        loss=LossConfig(kind=LossKind.FULL_SOFTMAX),
    ),
    optimiser=OptimiserConfig(rate=2e-3, average_decay=0.999),
    epochs=100,
    validation_users=0,
)
"""MovieLens 1M: long sequences of 3,416 products, no text, no times."""

AMAZON = TrainingConfig(
    model=ModelConfig(
        items=ItemEncoderConfig(id_dropout=0.5, text_dropout=0.2),
        users=UserEncoderConfig(dimension=64, length=50, gaps=False, query_time=False, dropout=0.5),
        loss=LossConfig(kind=LossKind.FULL_SOFTMAX),
    ),
    optimiser=OptimiserConfig(rate=2e-3, weight_decay=0.1, average_decay=0.99),
    epochs=60,
    validation_users=0,
)
"""Amazon Office: 3,231 short sequences; most of what is known of a product is its text."""

DEMO = TrainingConfig(
    sequences=SequenceConfig(first_only=True),
    objective=ObjectiveConfig(kind=ObjectiveKind.HORIZON),
    model=ModelConfig(users=UserEncoderConfig(dimension=64, dropout=0.2), loss=LossConfig(negatives=1024)),
    optimiser=OptimiserConfig(rate=2e-3, average_decay=0.99),
    seconds=120.0,
    validation_users=0,
)
"""A grocer's baskets: what is bought within four weeks and new to the household."""
