"""``model.json``: what stands beside every set of weights. Serving reads it; nothing here imports torch."""

import json
import os
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

MANIFEST_FILE = "model.json"
TOKENIZER_FILE = "tokenizer.json"
GRAPH_FILE = "model.onnx"
VERSION_FOLDER = "1"
VARIANTS_FOLDER = "variants"
MODEL_NAME = "text_encoder"
"""The model's name in Triton and its folder in the repository, whatever the variant."""


class Variant(StrEnum):
    """How the weights are stored: as trained, or one byte each."""

    FP32 = "fp32"
    INT8 = "int8"


class Pooling(StrEnum):
    """How token vectors become one vector: their mean over the mask, or the first one."""

    MEAN = "mean"
    CLS = "cls"


@dataclass(frozen=True, kw_only=True)
class ModelManifest:
    """A model release. ``release_id`` changes whenever a vector may change: with weights, tokenizer, pooling,
    token limit, variant or the recipe of the export. It holds only ``a-z``, ``0-9`` and ``_``, so that it fits
    into a collection name.
    """

    release_id: str
    source: str
    source_name: str
    variant: Variant
    dimension: int
    max_tokens: int
    pad_id: int
    pooling: Pooling
    weights_sha256: str
    tokenizer_sha256: str
    source_sha256: str
    graph_sha256: str
    graph_bytes: int
    recipe: int
    versions: dict[str, str] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)
    source_stat: dict[str, list[int]] = field(default_factory=dict)
    source_folder: str = ""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads ``folder/model.json``. Raises OSError when absent, ValueError when it is not a manifest."""
        values: dict[str, Any] = json.loads((folder / MANIFEST_FILE).read_text())
        try:
            values["variant"] = Variant(values["variant"])
            values["pooling"] = Pooling(values["pooling"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{folder / MANIFEST_FILE} is not a manifest of this version: {error}") from error

    def write(self, folder: Path) -> None:
        """Writes ``folder/model.json``."""
        write_text(folder / MANIFEST_FILE, json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")


def variant_folder(model: Path, variant: Variant) -> Path:
    """Where the variant's graph and manifest stand inside the model's folder, served or not."""
    return model / VARIANTS_FOLDER / variant


def write_text(path: Path, text: str) -> None:
    """Writes whole or not at all: a reader sees the old text or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)
