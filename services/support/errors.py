"""Errors of the support service. All of them are shared ones; the document is named by its id."""

from __future__ import annotations

from shared.errors.base import NotFound


class DocumentNotFound(NotFound):
    """No document has this id."""

    def __init__(self, document_id: str) -> None:
        super().__init__("document", document_id)
