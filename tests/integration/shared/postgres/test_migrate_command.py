"""`python -m shared.postgres`, as the chart's hook runs it."""

import os
import subprocess
import sys

import psycopg


def run(command: str, dsn: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MERCATO_POSTGRES_DSN": dsn}
    arguments = [sys.executable, "-m", "shared.postgres", command]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_all_schemas_are_made_once_and_told(postgres_database: str) -> None:
    before = run("status", postgres_database)
    assert before.returncode == 3, before.stderr
    assert "trainer: missing 0001_releases.sql" in before.stdout
    first, second = run("migrate", postgres_database), run("migrate", postgres_database)
    assert first.returncode == second.returncode == 0, first.stderr
    assert "0001_products.sql" in first.stdout
    assert all(line.endswith(": up to date") for line in second.stdout.splitlines())
    assert run("status", postgres_database).returncode == 0
    with psycopg.connect(postgres_database) as connection:
        assert connection.execute("SELECT count(*) FROM catalog.schema_migrations").fetchone() > (0,)


def test_two_at_once_apply_every_file_once(postgres_database: str) -> None:
    environment = {**os.environ, "MERCATO_POSTGRES_DSN": postgres_database}
    arguments = [sys.executable, "-m", "shared.postgres", "migrate"]
    both = [subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = "".join(one.communicate(timeout=120)[0] for one in both)
    assert [one.returncode for one in both] == [0, 0]
    answers = [line for line in told.splitlines() if line.startswith("catalog: ")]
    assert sorted("0001_products.sql" in line for line in answers) == [False, True]


def test_an_unreachable_database_and_a_missing_address_are_one_line() -> None:
    missing = run("migrate", "")
    assert missing.returncode == 1
    assert "MERCATO_POSTGRES_DSN is not set" in missing.stderr
    assert "Traceback" not in missing.stderr
