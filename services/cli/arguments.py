"""Options that may stand anywhere on the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence

from services.cli.settings import DEFAULT_ADDRESS

FLAGS = frozenset({"--json"})
VALUED = frozenset({"--address", "--api-key", "--tenant", "--ca"})


def hoist(arguments: Sequence[str]) -> list[str]:
    """Moves the global options to the front, where the parser expects them. What follows ``--`` stays."""
    front: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            rest += [argument, *remaining]
        elif argument in FLAGS or (argument.partition("=")[0] in VALUED and "=" in argument):
            front.append(argument)
        elif argument in VALUED:
            value = next(remaining, None)
            front += [argument] if value is None else [argument, value]
        else:
            rest.append(argument)
    return front + rest


def address_in(arguments: Sequence[str]) -> str:
    """The gateway that these arguments and the environment name."""
    found = os.environ.get("MERCATO_ADDRESS") or DEFAULT_ADDRESS
    for argument, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == "--address":
            found = value
        elif argument.startswith("--address="):
            found = argument.partition("=")[2]
    return found
