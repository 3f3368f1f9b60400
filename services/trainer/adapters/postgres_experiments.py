"""Experiments in PostgreSQL, schema `trainer`."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from services.trainer.adapters.experiment_rows import experiment_of, values_of
from services.trainer.adapters.postgres import SQL
from services.trainer.errors import ExperimentNotFound, ReleaseNotFound, WrongState
from services.trainer.experiments.domain import Experiment, State
from services.trainer.experiments.ports import Decide
from shared.errors.base import AlreadyExists


class PostgresExperiments:
    """The repository."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def insert(self, tenant: str, experiment: Experiment) -> None:
        async with self._pool.connection() as connection:
            if not (await connection.execute(SQL.insert_experiment, values_of(tenant, experiment))).rowcount:
                raise AlreadyExists("experiment", experiment.experiment_id)

    async def get(self, tenant: str, experiment_id: str) -> Experiment:
        async with self._pool.connection() as connection:
            await connection.execute(SQL.end_experiments)
            return await _one(connection, tenant, experiment_id)

    async def list_before(
        self, tenant: str, before: int, limit: int, state: State | None
    ) -> list[tuple[int, Experiment]]:
        arguments = {"tenant": tenant, "before": before, "limit": limit, "state": str(state or "")}
        async with self._pool.connection() as connection:
            await connection.execute(SQL.end_experiments)
            rows = await (await connection.execute(SQL.list_experiments, arguments)).fetchall()
        return [(row[-1], experiment_of(row)) for row in rows]

    async def change(self, tenant: str, experiment_id: str, decide: Decide) -> Experiment:
        async with self._pool.connection() as connection:
            await connection.execute(SQL.lock_tenant, {"tenant": tenant})
            await connection.execute(SQL.end_experiments)
            stored = await _one(connection, tenant, experiment_id)
            rows = await (await connection.execute(SQL.get_running_experiments, {"tenant": tenant})).fetchall()
            changed = decide(stored, [experiment_of(row) for row in rows])
            if changed.state is State.RUNNING and stored.state is not State.RUNNING:
                await _check_releases(connection, tenant, changed)
            await connection.execute(SQL.update_experiment, values_of(tenant, changed))
            return changed

    async def delete(self, tenant: str, experiment_id: str) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(SQL.lock_tenant, {"tenant": tenant})
            stored = await _one(connection, tenant, experiment_id)
            if stored.state is State.RUNNING:
                raise WrongState(experiment_id, stored.state, "a draft or stopped")
            await connection.execute(SQL.delete_experiment, {"tenant": tenant, "id": experiment_id})

    async def running(self) -> list[tuple[str, Experiment]]:
        async with self._pool.connection() as connection:
            await connection.execute(SQL.end_experiments)
            rows = await (await connection.execute(SQL.get_running_experiments, {"tenant": ""})).fetchall()
        return [(row[-2], experiment_of(row)) for row in rows]


async def _one(connection: AsyncConnection[Any], tenant: str, experiment_id: str) -> Experiment:
    row = await (await connection.execute(SQL.get_experiment, {"tenant": tenant, "id": experiment_id})).fetchone()
    if row is None:
        raise ExperimentNotFound(experiment_id)
    return experiment_of(row)


async def _check_releases(connection: AsyncConnection[Any], tenant: str, experiment: Experiment) -> None:
    wanted = sorted(experiment.release_ids())
    rows = await (await connection.execute(SQL.get_releases, {"tenant": tenant, "ids": wanted})).fetchall()
    missing = set(wanted) - {row[0] for row in rows}
    if missing:
        raise ReleaseNotFound(min(missing))
