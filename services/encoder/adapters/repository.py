"""The model repository as the encoder service reads it: manifest and tokenizer of the served model."""

from dataclasses import dataclass
from pathlib import Path

from services.encoder.domain import ModelRelease
from services.encoder.errors import ModelRepositoryMissing
from services.encoder.modelrepo.manifest import MODEL_NAME, TOKENIZER_FILE, ModelManifest


@dataclass(frozen=True)
class StoredModel:
    """What the service needs to know before it talks to Triton."""

    release: ModelRelease
    pad_id: int
    tokenizer: Path


def read_model(repository: Path) -> StoredModel:
    """Raises ModelRepositoryMissing when the repository was not written or cannot be read."""
    folder = repository / MODEL_NAME
    try:
        manifest = ModelManifest.read(folder)
        (folder / TOKENIZER_FILE).stat()
    except (OSError, ValueError) as error:
        raise ModelRepositoryMissing(str(folder), str(error)) from error
    release = ModelRelease(manifest.release_id, manifest.source_name, manifest.dimension, manifest.max_tokens)
    return StoredModel(release, manifest.pad_id, folder / TOKENIZER_FILE)
