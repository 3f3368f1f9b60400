"""How use cases look into stored content, which is opaque to the domain."""

from __future__ import annotations

from collections.abc import Callable

from services.catalog.domain import Content, StoredProduct

ContentReader = Callable[[StoredProduct], Content]
"""Makes content of a stored product again."""
