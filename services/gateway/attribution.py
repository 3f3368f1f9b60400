"""The key of attribution tokens."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def load_key(configured: str, data: Path) -> bytes:
    """The configured secret, else one that is made once and kept in `<data>/keys`, readable by its owner alone."""
    if configured:
        return hashlib.sha256(configured.encode()).digest()
    path = data / "keys" / "attribution.key"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text().strip())
    with os.fdopen(descriptor, "w") as file:
        key = secrets.token_bytes(32)
        file.write(key.hex())
    return key
