"""The training loop: windows, steps, validation, checkpoints.

Every random choice of a step comes from (seed, step, rank), so a training that was killed and taken up goes on as if
nothing had happened.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from services.trainer.behaviour import checkpoint
from services.trainer.behaviour.checkpoint import Position
from services.trainer.behaviour.model import BehaviourModel, ModelConfig
from services.trainer.behaviour.objectives import BatchMaker, ObjectiveConfig, ObjectiveKind
from services.trainer.behaviour.optimisation import OptimiserConfig, RunningMean, optimiser_of, rate_at
from services.trainer.behaviour.runtime import Precision, Runtime
from services.trainer.behaviour.sequences import SequenceConfig, Sequences
from services.trainer.behaviour.validation import Questions, ndcg
from services.trainer.behaviour.windows import WindowConfig, batches, cut
from services.trainer.domain import Longs
from services.trainer.recommenders.interface import Report

STEP_NAME = "behaviour model"
PROGRESS_PARTS = 1000
LOSS_STEPS = 100
"""Steps that the running mean of the loss looks back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """Everything a training depends on beside its data."""

    sequences: SequenceConfig = field(default_factory=SequenceConfig)
    windows: WindowConfig = field(default_factory=WindowConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    popularity_start: bool = False
    """Begins with the popular list for everybody: for shops where few events must tell many products apart."""
    epochs: int = 20
    """Passes over the windows, after which the training ends."""
    least_steps: int = 0
    """Steps before which it does not end, however small the shop and few the steps of an epoch."""
    seconds: float | None = None
    """Budget of time, after which it ends in any case; the schedule follows whatever ends first."""
    validation_users: int = 512
    """Users whose last event is held out, a tenth of all at most; 0: no validation, the last weights are the model."""
    patience: int = 3
    """Validations (one an epoch) without a new best before the training ends."""
    checkpoint_seconds: float = 60.0
    """Between checkpoints."""
    precision: Precision = Precision.AUTO
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a training reached."""

    ndcg: float | None
    """Validation's nDCG@10 of the weights that are the model; None without validation."""
    history: tuple[float, ...]
    """The same after each epoch."""
    loss: float
    """Running mean at the end."""
    epochs: int
    steps: int
    seconds: float


class Trainer:
    """Trains a model in place."""

    def __init__(
        self,
        config: TrainingConfig,
        model: BehaviourModel,
        data: tuple[Sequences, Questions | None],
        folder: Path | None,
        report: Report,
    ) -> None:
        """`data`: what is learned from and what validates; `folder` takes checkpoints and is looked into for one."""
        self.config = config
        self.runtime = Runtime.detect(config.precision)
        self.model = model.to(self.runtime.device)
        self.sequences, self.questions = data
        self.folder = folder
        self.report = report
        self.maker = BatchMaker(config.objective, self.sequences)
        self.optimiser = optimiser_of(model, config.optimiser)
        self.mean = RunningMean(model.parameters(), config.optimiser.average_decay)
        self.best: dict[str, Tensor] = {}
        self.position = Position(bf16=self.runtime.bf16, fingerprint=self._fingerprint())

    def run(self) -> Outcome:
        """Trains to the end of the schedule or of patience; the best weights of validation are the model then."""
        self._resume()
        module = self.runtime.wrapped(self.model)
        self.model.train()
        start, before = time.monotonic(), self.position.seconds
        saved = start
        while not self._over():
            parts = self._epoch()
            for windows in parts[self.position.batch :]:
                self._step(module, windows, len(parts))
                elapsed = self.runtime.agreed(before + time.monotonic() - start)
                self.position = replace(self.position, seconds=elapsed)
                if time.monotonic() - saved > self.config.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
                if self._over():
                    break
            self.position = replace(self.position, epoch=self.position.epoch + 1, batch=0)
            self._validate()
        return self._finished()

    def _over(self) -> bool:
        if self.questions is not None and self.position.stale >= self.config.patience:
            return True
        if self.config.seconds is not None and self.position.seconds >= self.config.seconds:
            return True
        return self.position.epoch >= self.config.epochs and self.position.step >= self.config.least_steps

    def _progress(self, parts: int) -> float:
        """Share of the training that is done, in an epoch of so many batches."""
        done = (self.position.epoch + self.position.batch / parts) / max(self.config.epochs, 1)
        if self.config.least_steps:
            done = min(done, self.position.step / self.config.least_steps)
        if self.config.seconds is not None:
            done = max(done, self.position.seconds / self.config.seconds)
        return done

    def _epoch(self) -> list[Longs]:
        """This process's batches of the epoch; as many as every other process has."""
        generator = np.random.default_rng([self.config.seed, self.position.epoch])
        extra = int(self.config.objective.kind is ObjectiveKind.NEXT)
        windows = cut(self.sequences, self.config.model.users.length + extra, self.config.windows, generator)
        parts = list(batches(windows, self.config.windows.tokens, generator))
        world = self.runtime.world
        whole = len(parts) // world * world or len(parts)
        return parts[:whole][self.runtime.rank % max(len(parts), 1) :: world]

    def _step(self, module: torch.nn.Module, windows: Longs, parts: int) -> None:
        step = self.position.step + 1
        generator = np.random.default_rng([self.config.seed, step, self.runtime.rank])
        torch.manual_seed(int(generator.integers(2**62)))
        progress = self._progress(parts)
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(progress, self.config.optimiser)
        batch = self.maker.batch(windows, generator).to(self.runtime.device)
        with self.runtime.autocast():
            loss = module(batch)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimiser.clip)
        self.optimiser.step()
        self.mean.update(step)
        mean = self.position.loss + (loss.item() - self.position.loss) / min(step, LOSS_STEPS)
        self.position = replace(self.position, step=step, batch=self.position.batch + 1, loss=mean)
        if self.runtime.leads:
            self.report(STEP_NAME, int(PROGRESS_PARTS * min(progress, 1.0)), PROGRESS_PARTS)

    def _validate(self) -> None:
        if self.questions is None:
            return
        self.mean.swap()
        self.model.eval()
        reached = self.runtime.agreed(ndcg(self.model, self.questions) if self.runtime.leads else 0.0)
        self.position = replace(self.position, history=(*self.position.history, reached))
        if reached > self.position.best:
            self.best = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
            self.position = replace(self.position, best=reached, stale=0)
        else:
            self.position = replace(self.position, stale=self.position.stale + 1)
        self.model.train()
        self.mean.swap()

    def _finished(self) -> Outcome:
        self.mean.swap()
        if self.best:
            self.model.load_state_dict(self.best)
        self.model.eval()
        if self.folder is not None and self.runtime.leads:
            checkpoint.clear(self.folder)
        position = self.position
        self.report(STEP_NAME, PROGRESS_PARTS, PROGRESS_PARTS)
        return Outcome(
            ndcg=position.best if self.questions is not None else None,
            history=position.history,
            loss=position.loss,
            epochs=position.epoch,
            steps=position.step,
            seconds=position.seconds,
        )

    def _save(self) -> None:
        if self.folder is None or not self.runtime.leads:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= checkpoint.optimiser_tensors(self.optimiser)
        tensors |= {f"mean.{number}": value for number, value in enumerate(self.mean.means)}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        checkpoint.save(self.folder, self.position, tensors)

    def _resume(self) -> None:
        found = checkpoint.load(self.folder, self.position.fingerprint) if self.folder is not None else None
        if found is None:
            return
        self.position, tensors = found
        self.runtime = replace(self.runtime, bf16=self.position.bf16)
        self.model.load_state_dict(checkpoint.part(tensors, "model"))
        checkpoint.restore_optimiser(self.optimiser, tensors)
        for number, mean in enumerate(self.mean.means):
            mean.copy_(tensors[f"mean.{number}"])
        self.best = checkpoint.part(tensors, "best")

    def _fingerprint(self) -> str:
        """Of the configuration and the rows."""
        rows = self.sequences
        sums = [int(column.astype(np.int64).sum()) for column in (rows.products, rows.times_s, rows.kinds, rows.users)]
        return f"{self.config!r} rows={len(rows)} sums={sums}"
