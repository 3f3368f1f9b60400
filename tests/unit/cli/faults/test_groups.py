"""The command's list of groups."""

from services.cli.commands.bench_faults import GROUPS
from services.cli.faults.groups import RUNNERS


def test_the_command_names_every_group() -> None:
    assert tuple(RUNNERS) == GROUPS
