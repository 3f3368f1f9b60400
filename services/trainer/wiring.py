"""Builds the trainer. The only place that names its concrete classes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mercato.privacy.v1 import personal_data_service_pb2, personal_data_service_pb2_grpc
from mercato.trainer.v1 import (
    experiment_service_pb2,
    experiment_service_pb2_grpc,
    trainer_service_pb2,
    trainer_service_pb2_grpc,
)
from psycopg_pool import AsyncConnectionPool

from services.trainer.adapters.catalog import CatalogFacts
from services.trainer.adapters.outcomes import EventOutcomes
from services.trainer.adapters.postgres import PostgresReleases
from services.trainer.adapters.postgres_experiments import PostgresExperiments
from services.trainer.adapters.postgres_rollouts import PostgresRollouts
from services.trainer.adapters.process import JobProcess
from services.trainer.adapters.profile_events import ProfileEvents
from services.trainer.adapters.retrieval import RetrievalVectors
from services.trainer.domain import TrainingKind
from services.trainer.experiments.manage import ManageExperiments
from services.trainer.experiments.report import GuardExperiments, ReportExperiment
from services.trainer.experiments.servicer import ExperimentServicer, ExperimentUseCases
from services.trainer.experiments.watch import WatchExperiments
from services.trainer.gather import Gather, Sources
from services.trainer.measure_releases import MeasureReleases
from services.trainer.privacy import DataSetPrivacy
from services.trainer.promote import PromoteRelease
from services.trainer.roll_out import RollOut, RolloutPolicy, WatchRollouts
from services.trainer.schedule import Schedule, SchedulePolicy
from services.trainer.servicer import TrainerServicer, UseCases
from services.trainer.servicers.personal_data import PersonalDataServicer
from services.trainer.settings import TrainerSettings
from services.trainer.train import Train, TrainConfig
from services.trainer.watch import ReleaseNotifier, WatchReleases
from shared.client.channel import channel_check, open_channel
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool, pool_check
from shared.server.parts import Check, ServiceParts, Servicer


@dataclass(frozen=True, slots=True)
class Trainer:
    """What is built, before it is decided whether it serves or trains once."""

    use_cases: UseCases
    schedule: Schedule
    trials: WatchRollouts
    experiments: ExperimentUseCases
    guard: GuardExperiments
    privacy: DataSetPrivacy
    checks: dict[str, Check]


@asynccontextmanager
async def opened(settings: TrainerSettings) -> AsyncIterator[Trainer]:
    """Opens what the trainer needs; ends running jobs when left."""
    runner = JobProcess(settings.job_threads)
    async with (
        open_pool(settings.postgres_dsn, max_size=6, application_name="mercato-trainer") as pool,
        open_channel(settings.profile_address, service="profile") as profile,
        open_channel(settings.catalog_address, service="catalog") as catalog,
        open_channel(settings.retrieval_address, service="retrieval") as retrieval,
    ):
        await migrate(pool, "services.trainer.migrations")
        releases, notifier = PostgresReleases(pool, settings.postgres_dsn, settings.releases_kept), ReleaseNotifier()
        events = ProfileEvents(profile)
        sources = Sources(events, CatalogFacts(catalog), RetrievalVectors(retrieval))
        gather = Gather(sources, settings.history_days)
        train = Train(gather, runner, releases, notifier, _config(settings, runner))
        rollouts = PostgresRollouts(pool)
        policy = RolloutPolicy(check_seconds=settings.rollout_check_seconds)
        experiments, guard = _experiments(settings, pool, events, notifier)
        use_cases = UseCases(
            train=train,
            promote=PromoteRelease(releases, notifier),
            watch=WatchReleases(releases, notifier, settings.watch_seconds),
            roll_out=RollOut(rollouts, notifier),
            releases=releases,
        )
        try:
            yield Trainer(
                use_cases=use_cases,
                schedule=Schedule(train, releases, events, _schedule(settings, runner)),
                trials=WatchRollouts(rollouts, EventOutcomes(events), notifier, policy),
                experiments=experiments,
                guard=guard,
                privacy=DataSetPrivacy(
                    settings.work, releases, settings.keep_job_remains_days, settings.retention_every_seconds
                ),
                checks={
                    "postgres": pool_check(pool),
                    "profile": channel_check(profile, "profile"),
                    "catalog": channel_check(catalog, "catalog"),
                    "retrieval": channel_check(retrieval, "retrieval"),
                },
            )
        finally:
            await train.close()


@asynccontextmanager
async def build(settings: TrainerSettings) -> AsyncIterator[ServiceParts]:
    """Yields what is served."""
    async with opened(settings) as trainer:
        yield ServiceParts(
            name="trainer",
            servicers=(
                Servicer(
                    trainer_service_pb2.DESCRIPTOR.services_by_name["TrainerService"],
                    trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server,
                    TrainerServicer(trainer.use_cases),
                ),
                Servicer(
                    experiment_service_pb2.DESCRIPTOR.services_by_name["ExperimentService"],
                    experiment_service_pb2_grpc.add_ExperimentServiceServicer_to_server,
                    ExperimentServicer(trainer.experiments),
                ),
                Servicer(
                    personal_data_service_pb2.DESCRIPTOR.services_by_name["PersonalDataService"],
                    personal_data_service_pb2_grpc.add_PersonalDataServiceServicer_to_server,
                    PersonalDataServicer(trainer.privacy),
                ),
            ),
            dependencies=trainer.checks,
            critical=frozenset({"postgres"}),
            background=(
                trainer.trials.run,
                trainer.schedule.run,
                trainer.guard.run,
                trainer.privacy.run,
                MeasureReleases(trainer.use_cases.releases).run,
            ),
            on_drain=(trainer.use_cases.watch.end, trainer.experiments.watch.end),
        )


def _experiments(
    settings: TrainerSettings, pool: AsyncConnectionPool, events: ProfileEvents, notifier: ReleaseNotifier
) -> tuple[ExperimentUseCases, GuardExperiments]:
    repository = PostgresExperiments(pool)
    manage, report = ManageExperiments(repository, notifier), ReportExperiment(repository, events)
    watch = WatchExperiments(repository, notifier, settings.watch_seconds)
    guard = GuardExperiments(repository, manage, report, settings.experiment_check_seconds)
    return ExperimentUseCases(manage=manage, report=report, watch=watch, experiments=repository), guard


def _kind(settings: TrainerSettings, runner: JobProcess) -> TrainingKind:
    everything = settings.learn == "full" or (settings.learn == "auto" and runner.can_learn())
    return TrainingKind.FULL if everything else TrainingKind.TABLES


def _schedule(settings: TrainerSettings, runner: JobProcess) -> SchedulePolicy:
    return SchedulePolicy(train_hours=settings.train_hours, default_kind=_kind(settings, runner))


def _config(settings: TrainerSettings, runner: JobProcess) -> TrainConfig:
    return TrainConfig(
        work=settings.work,
        neighbours=settings.neighbours,
        least_purchases=settings.least_purchases,
        behaviour_seconds=settings.behaviour_seconds,
        threads=settings.job_threads,
        jobs=settings.jobs,
        default_kind=_kind(settings, runner),
    )
