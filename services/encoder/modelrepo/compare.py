"""The FP32 and INT8 variants beside the model as transformers runs it: agreement, speed and size on real texts."""

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from services.encoder.modelrepo.agreement import agreement
from services.encoder.modelrepo.manifest import (
    GRAPH_FILE,
    MODEL_NAME,
    TOKENIZER_FILE,
    ModelManifest,
    Variant,
    variant_folder,
)
from services.encoder.modelrepo.onnx_session import OnnxEncoder
from services.encoder.modelrepo.sample_texts import QUESTIONS, product_titles
from services.encoder.modelrepo.source import EncoderSource
from services.encoder.modelrepo.torch_encoder import TorchEncoder

BATCH = 32
_SINGLE = 60

Encode = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True)
class Sample:
    """``count`` texts from ``file``, one a line; without a file, titles of the demo data."""

    file: Path | None
    count: int


def run_comparison(
    repository: Path, sample: Sample, target: Path | None, report: Callable[[str], None]
) -> dict[str, Any]:
    """Reports a table, writes the figures as JSON to ``target`` when given, and returns them."""
    torch.set_num_threads(1)
    model = repository / MODEL_NAME
    manifests = {variant: ModelManifest.read(variant_folder(model, variant)) for variant in Variant}
    titles = product_titles(sample.count, sample.file)
    reference = TorchEncoder(_source(manifests[Variant.FP32]))
    inputs = _Inputs(model, manifests[Variant.FP32], titles)
    results = {"transformers": inputs.measure(reference.vectors)}
    for variant, manifest in manifests.items():
        results[str(variant)] = {
            "release_id": manifest.release_id,
            "megabytes": round(manifest.graph_bytes / 1e6, 1),
            **inputs.measure(OnnxEncoder(variant_folder(model, variant) / GRAPH_FILE).vectors),
        }
    vectors = {name: values.pop("vectors") for name, values in results.items()}
    for variant in Variant:
        results[str(variant)]["agreement"] = asdict(agreement(vectors["transformers"], vectors[str(variant)]))
    figures = {"texts": len(titles), "queries": len(QUESTIONS), "threads": 1, "machine": platform.machine()}
    figures |= {"mean_tokens": round(inputs.mean_tokens, 1), "models": results}
    report(_table(figures))
    if target:
        target.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _source(manifest: ModelManifest) -> EncoderSource:
    return EncoderSource.from_folder(Path(manifest.source_folder), source=manifest.source, name=manifest.source_name)


class _Inputs:
    """The sample, tokenised once, and how each model is measured on it."""

    def __init__(self, folder: Path, manifest: ModelManifest, titles: list[str]) -> None:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        tokenizer.enable_truncation(manifest.max_tokens)
        self._pad_id = manifest.pad_id
        self._titles = [encoding.ids for encoding in tokenizer.encode_batch(titles)]
        self._questions = [encoding.ids for encoding in tokenizer.encode_batch(list(QUESTIONS))]
        self.mean_tokens = float(np.mean([len(ids) for ids in self._titles]))

    def measure(self, encode: Encode) -> dict[str, Any]:
        """Vectors, the median time of one text, and texts a second of processor time in batches of 32."""
        encode(*self._padded(self._titles[:2]))
        singles = []
        for ids in self._titles[:_SINGLE]:
            start = time.perf_counter()
            encode(*self._padded([ids]))
            singles.append(time.perf_counter() - start)
        start = time.process_time()
        titles = self._all(encode, self._titles)
        spent = time.process_time() - start
        return {
            "vectors": (titles, self._all(encode, self._questions)),
            "one_text_p50_ms": round(float(np.median(singles)) * 1e3, 2),
            "texts_per_cpu_second": round(len(titles) / spent, 1),
        }

    def _all(self, encode: Encode, texts: list[list[int]]) -> NDArray[np.float32]:
        """In order of length, as the service does it; the result in the order given."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        parts = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        vectors = np.concatenate([encode(*self._padded([texts[index] for index in part])) for part in parts])
        result = np.empty_like(vectors)
        result[order] = vectors
        return result

    def _padded(self, texts: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids_BT = np.full((len(texts), max(map(len, texts))), self._pad_id, np.int64)
        mask_BT = np.zeros_like(ids_BT)
        for row, ids in enumerate(texts):
            ids_BT[row, : len(ids)] = ids
            mask_BT[row, : len(ids)] = 1
        return ids_BT, mask_BT


def _table(figures: dict[str, Any]) -> str:
    head = (
        f"{'model':<14}{'MB':>7}{'ms/text':>9}{'texts/s':>9}{'cos mean':>10}{'cos min':>9}"
        f"{'pearson':>9}{'recall@10':>11}{'top 1':>7}"
    )
    lines = [
        f"{figures['texts']} texts of {figures['mean_tokens']} tokens, {figures['queries']} queries, one thread; "
        "agreement with transformers",
        head,
    ]
    for name, values in figures["models"].items():
        line = f"{name:<14}{values.get('megabytes', ''):>7}{values['one_text_p50_ms']:>9}"
        line += f"{values['texts_per_cpu_second']:>9}"
        if agreed := values.get("agreement"):
            line += f"{agreed['cosine_mean']:>10.5f}{agreed['cosine_min']:>9.5f}{agreed['pearson']:>9.5f}"
            line += f"{agreed['recall_at_10']:>11.3f}{agreed['top_1']:>7.2f}"
        lines.append(line)
    return "\n".join(lines)
