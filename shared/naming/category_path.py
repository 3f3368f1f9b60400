"""A category path as one name: levels from the root, joined by `` > ``.

Profile, trainer, retrieval and ranking compare these names: formed differently, an interest would meet no product and
nothing would fail. (Profile forms them in SQL, ``services/profile/adapters/read.sql``.)
"""

from __future__ import annotations

from collections.abc import Iterable

SEPARATOR = " > "


def joined(levels: Iterable[str]) -> str:
    """The name of a path; empty for an empty path."""
    return SEPARATOR.join(levels)


def leaf_of(name: str) -> str:
    """The last level."""
    return name.rpartition(SEPARATOR)[2]


def parent_of(name: str) -> str:
    """The name of the path above; empty for one level."""
    return name.rpartition(SEPARATOR)[0]
