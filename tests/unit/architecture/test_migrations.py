"""Migrations only add, so that the version before goes on serving, and `helm rollback` needs no way back.

squawk knows what breaks running clients or holds locks for long; limits on time are set by `shared.postgres.migrations`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted(ROOT.glob("services/*/migrations/*.sql"))
NOT_OURS = (
    "require-lock-timeout",  # set for every file when it is applied
    "require-statement-timeout",  # a file may take long; what it locks, it may not
    "prefer-bigint-over-int",  # counts within a row
    "prefer-bigint-over-smallint",
)
EXPLAINED = {
    "profile/0005_pseudonym_key.sql": "before the first release; the table held a key in clear",
    "profile/0007_sealed.sql": "before the first release; no code from before can read what is sealed",
    "trainer/0002_artifacts.sql": "before the first release; its rows are moved in the same file",
}
"""Files that break the version before. None may come after 0.1.0."""


def findings(*files: Path) -> list[tuple[str, str]]:
    """`<schema>/<file>` and rule."""
    program = Path(sys.executable).with_name("squawk")
    options = [*(f"--exclude={rule}" for rule in NOT_OURS), "--pg-version=15.0", "--assume-in-transaction"]
    command = [str(program), *options, "--reporter=json", *map(str, files)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode in (0, 1), answer.stderr
    return [(_short(Path(one["file"])), one["rule_name"]) for one in json.loads(answer.stdout)]


def _short(file: Path) -> str:
    return f"{file.parents[1].name}/{file.name}"


def test_every_migration_leaves_the_version_before_at_work() -> None:
    assert len(FILES) >= 10
    assert [found for found in findings(*FILES) if found[0] not in EXPLAINED] == []


def test_every_explained_exception_is_still_one() -> None:
    assert set(EXPLAINED) <= {file for file, _ in findings(*FILES)}


@pytest.mark.parametrize(
    ("statement", "rules"),
    [
        ("DROP TABLE shop.products;", ["ban-drop-table"]),
        ("ALTER TABLE shop.products DROP COLUMN title;", ["ban-drop-column"]),
        ("ALTER TABLE shop.products RENAME COLUMN title TO name;", ["renaming-column"]),
        ("ALTER TABLE shop.products RENAME TO goods;", ["renaming-table"]),
        ("ALTER TABLE shop.products ADD COLUMN brand text NOT NULL;", ["adding-required-field"]),
        ("ALTER TABLE shop.products ALTER COLUMN title SET NOT NULL;", ["adding-not-nullable-field"]),
        ("ALTER TABLE shop.products ALTER COLUMN stock TYPE bigint;", ["changing-column-type"]),
        ("CREATE INDEX by_title ON shop.products (title);", ["require-concurrent-index-creation"]),
        ("ALTER TABLE shop.products ADD COLUMN brand text NOT NULL DEFAULT '';", []),
        ("CREATE TABLE shop.brands (brand text PRIMARY KEY);", []),
    ],
)
def test_what_would_break_the_version_before_is_found(tmp_path: Path, statement: str, rules: Sequence[str]) -> None:
    file = tmp_path / "shop" / "migrations" / "0002_change.sql"
    file.parent.mkdir(parents=True)
    file.write_text(statement + "\n")
    assert [rule for _, rule in findings(file)] == rules
