"""From a source to both variants: export, quantise, check, describe. Imports torch."""

import hashlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.encoder.modelrepo import rowwise_int8
from services.encoder.modelrepo.errors import ExportFailed
from services.encoder.modelrepo.manifest import GRAPH_FILE, TOKENIZER_FILE, ModelManifest, Variant, variant_folder
from services.encoder.modelrepo.onnx_session import OnnxEncoder
from services.encoder.modelrepo.source import EncoderSource
from services.encoder.modelrepo.torch_encoder import TorchEncoder, save_tokenizer

TOLERANCE = 1e-4
"""Largest difference of a component: the exported graph against torch, and a padded text against itself."""
LEAST_COSINE = 0.97
"""INT8 vectors of random tokens keep at least this cosine to torch's; below, the quantisation went wrong."""
_SHAPES = ((1, 3), (3, 17), (2, 64))
_PACKAGES = ("torch", "transformers", "onnx", "onnxruntime", "tokenizers")

Ids = NDArray[np.int64]


def build_variants(source: EncoderSource, model: Path, recipe: int, report: Callable[[str], None]) -> None:
    """Writes tokenizer, graphs and manifests into the model's folder. Raises ExportFailed."""
    report("1/4 loading weights")
    torch_encoder = TorchEncoder(source)
    report("2/4 exporting to ONNX (FP32)")
    save_tokenizer(source, model / TOKENIZER_FILE)
    fp32, int8 = (_graph_path(model, variant) for variant in (Variant.FP32, Variant.INT8))
    torch_encoder.export(fp32)
    report("3/4 quantising (INT8, per row)")
    if not rowwise_int8.quantize(fp32, int8):
        raise ExportFailed("the exported graph holds no matrix product with constant weights")
    report("4/4 checking vectors against torch")
    for variant, graph in ((Variant.FP32, fp32), (Variant.INT8, int8)):
        checks = _check(variant, torch_encoder, OnnxEncoder(graph), source)
        _manifest(source, model, variant, recipe, checks).write(graph.parent)
        cosine = checks["cosine_to_torch_min"]
        report(f"    {variant}: {graph.stat().st_size / 1e6:.1f} MB, lowest cosine to torch {cosine:.5f}")


def _graph_path(model: Path, variant: Variant) -> Path:
    folder = variant_folder(model, variant)
    folder.mkdir(parents=True)
    return folder / GRAPH_FILE


def _check(variant: Variant, reference: TorchEncoder, graph: OnnxEncoder, source: EncoderSource) -> dict[str, float]:
    """Compares on random tokens of several shapes, with padding, and each text alone against itself in a batch."""
    random = np.random.default_rng(0)
    differences, cosines, paddings = [], [], []
    for rows, wanted_length in _SHAPES:
        length = min(wanted_length, source.max_tokens)
        ids_BT = random.integers(min(200, reference.vocabulary // 2), reference.vocabulary, (rows, length))
        mask_BT = np.ones_like(ids_BT)
        mask_BT[-1, length // 2 + 1 :] = 0
        ids_BT[mask_BT == 0] = source.pad_id
        wanted, got = reference.vectors(ids_BT, mask_BT), graph.vectors(ids_BT, mask_BT)
        differences.append(float(np.abs(wanted - got).max()))
        cosines.append(float((wanted * got).sum(1).min()))
        paddings.append(float(np.abs(_alone(graph, ids_BT, mask_BT) - got).max()))
    checks = {
        "max_difference_to_torch": max(differences),
        "cosine_to_torch_min": min(cosines),
        "max_difference_by_padding": max(paddings),
        "dimension": reference.dimension,
    }
    _judge(variant, checks)
    return checks


def _alone(graph: OnnxEncoder, ids_BT: Ids, mask_BT: Ids) -> NDArray[np.float32]:
    """Each text in a run of its own, without padding."""
    lengths = mask_BT.sum(1)
    runs = [graph.vectors(ids_BT[i : i + 1, :n], mask_BT[i : i + 1, :n]) for i, n in enumerate(lengths)]
    return np.concatenate(runs)


def _judge(variant: Variant, checks: dict[str, float]) -> None:
    if checks["max_difference_by_padding"] > TOLERANCE:
        raise ExportFailed(f"{variant}: padding changes vectors by {checks['max_difference_by_padding']:.1e}")
    if variant is Variant.FP32 and checks["max_difference_to_torch"] > TOLERANCE:
        raise ExportFailed(f"{variant}: differs from torch by {checks['max_difference_to_torch']:.1e}")
    if checks["cosine_to_torch_min"] < LEAST_COSINE:
        raise ExportFailed(f"{variant}: cosine to torch is only {checks['cosine_to_torch_min']:.4f}")


def _manifest(
    source: EncoderSource, model: Path, variant: Variant, recipe: int, checks: dict[str, float]
) -> ModelManifest:
    graph = variant_folder(model, variant) / GRAPH_FILE
    whole, quantizer = source.sha256(), rowwise_int8.RECIPE if variant is Variant.INT8 else 0
    identity = f"{whole}:{variant}:{recipe}:{quantizer}:{source.pooling}:{source.max_tokens}"
    return ModelManifest(
        release_id=f"{source.slug}_{variant}_{hashlib.sha256(identity.encode()).hexdigest()[:10]}",
        source=source.source,
        source_name=source.name,
        variant=variant,
        dimension=int(checks["dimension"]),
        max_tokens=source.max_tokens,
        pad_id=source.pad_id,
        pooling=source.pooling,
        weights_sha256=source.weights_sha256(),
        tokenizer_sha256=hashlib.sha256((model / TOKENIZER_FILE).read_bytes()).hexdigest(),
        source_sha256=whole,
        graph_sha256=hashlib.sha256(graph.read_bytes()).hexdigest(),
        graph_bytes=graph.stat().st_size,
        recipe=recipe,
        versions={name: importlib.metadata.version(name) for name in _PACKAGES},
        checks=checks,
        source_stat=source.stat(),
        source_folder=str(source.folder),
    )
