"""What the trainer is configured with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from shared.settings.base import ServiceSettings, address_field, data_field, postgres_dsn_field, service_config


class TrainerSettings(ServiceSettings):
    """Read from `MERCATO_TRAINER_…`."""

    model_config = service_config("trainer")

    postgres_dsn: str = postgres_dsn_field()
    profile_address: str = address_field("profile")
    catalog_address: str = address_field("catalog")
    retrieval_address: str = address_field("retrieval")
    data: Path = data_field()

    releases_kept: int = Field(5, ge=2, le=100)
    """Releases a tenant keeps; older ones are deleted, never the current one."""
    learn: Literal["auto", "tables", "full"] = "auto"
    """What a training learns that is not told: `auto` is everything where the libraries for it are installed."""
    behaviour_seconds: float = Field(120.0, gt=0)
    """Longest training of the behaviour model; without a GPU it is rarely done before."""
    job_threads: int = Field(default_factory=lambda: len(os.sched_getaffinity(0)), ge=1)
    """Threads of a training job. Its priority is below that of serving."""
    train_hours: float = Field(24.0, ge=0)
    """A release older than this is followed by a new one when something was bought since. 0: only when told to."""
    rollout_check_seconds: float = Field(30.0, gt=0)
    """How often it is looked at what a canary led to."""
    experiment_check_seconds: float = Field(300.0, gt=0)
    """How often experiments with guardrails are looked at; each look reads all events since the start."""
    neighbours: int = Field(50, ge=1, le=500)
    """Neighbours kept an item."""
    jobs: int = Field(1, ge=1, le=16)
    """Trainings of different tenants at once; one takes up to 4 GiB. Others wait."""
    least_purchases: int = Field(2, ge=1)
    """An item needs this many baskets to have neighbours."""
    history_days: int = Field(730, ge=1)
    """Purchases older than this, counted from the latest, are not learnt from."""
    keep_job_remains_days: int = Field(7, ge=0)
    """What failed trainings left (data set, checkpoints, log) is removed after this; 0: when the next one begins."""
    retention_every_seconds: float = Field(3600.0, gt=0)
    """Pause between two looks for what is too old."""
    watch_seconds: float = Field(2.0, gt=0)
    """Longest wait before a release promoted by another process is noticed."""

    @property
    def work(self) -> Path:
        """Where jobs work; nothing in it is needed between jobs, but for the checkpoints of one that was cut off."""
        return self.data / "training"
