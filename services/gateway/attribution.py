"""The key of attribution tokens."""

from __future__ import annotations

import hashlib
from pathlib import Path

from shared.keys.kept_key import kept_key


def load_key(configured: str, data: Path) -> bytes:
    """The configured secret, else one that is made once and kept in `<data>/keys`, readable by its owner alone."""
    if configured:
        return hashlib.sha256(configured.encode()).digest()
    return kept_key(data, "attribution")
