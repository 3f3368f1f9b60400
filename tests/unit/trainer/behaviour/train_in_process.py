"""Trains on the ring in a process of its own: to be killed, or started twice by torchrun.

Arguments: folder for checkpoints, file for scores, step at which to report and wait (0: never).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from services.trainer.behaviour.recommender import BehaviourRecommender
from services.trainer.behaviour.users import UserEncoderConfig
from tests.unit.trainer.behaviour.ring_shop import DAY_S, config, content, ring


def main(folder: Path, output: Path, stop_at: int) -> None:
    """Says `checkpoint written` on standard output and waits when it has come far enough."""
    torch.set_num_threads(1)
    users = UserEncoderConfig(dimension=16, length=10, blocks=1, dropout=0.1)
    recommender = BehaviourRecommender(
        config(users=users, epochs=6, validation_users=8, checkpoint_seconds=0.0), folder=folder
    )

    def report(step: str, done: int, total: int) -> None:
        if stop_at and done >= stop_at and (folder / "checkpoint.json").exists():
            sys.stdout.write("checkpoint written\n")
            sys.stdout.flush()
            time.sleep(600)

    recommender.fit(ring(users=80), content(), report)
    if int(os.environ.get("RANK", "0")) == 0:
        np.savez(
            output,
            scores=recommender.scores(np.arange(8, dtype=np.int32), 12 * DAY_S),
            steps=recommender.fitted.outcome.steps,
            history=np.array(recommender.fitted.outcome.history),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
