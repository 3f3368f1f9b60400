"""A trained model as files: ONNX, safetensors and JSON; never pickle.

`user_encoder.onnx`, `item_encoder.onnx`, `item_vectors.safetensors`, `vocabulary.json` and `behaviour.json` are what
serving reads; `model.safetensors` is what the next training starts from.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from services.trainer.behaviour.checkpoint import write
from services.trainer.behaviour.errors import BrokenModel
from services.trainer.behaviour.features import Vocabulary
from services.trainer.behaviour.items import ItemEncoder
from services.trainer.behaviour.model import BehaviourModel
from services.trainer.behaviour.training import Outcome, TrainingConfig
from services.trainer.behaviour.validation import item_vectors

OPSET = 17
USER_ENCODER, ITEM_ENCODER = "user_encoder.onnx", "item_encoder.onnx"
ITEM_VECTORS, VOCABULARY = "item_vectors.safetensors", "vocabulary.json"
DESCRIPTION, WEIGHTS = "behaviour.json", "model.safetensors"
KNOWN = "items.known"
"""Which products somebody acted on in this training or an earlier one."""


def save_model(
    folder: Path, model: BehaviourModel, vocabulary: Vocabulary, config: TrainingConfig, outcome: Outcome
) -> None:
    """Writes all files, each whole or not at all; the description last."""
    folder.mkdir(parents=True, exist_ok=True)
    model = model.cpu().eval()
    write(folder / USER_ENCODER, lambda path: export_user_encoder(model, path))
    write(folder / ITEM_ENCODER, lambda path: export_item_encoder(model, path))
    write(folder / ITEM_VECTORS, lambda path: save_file({"vectors": item_vectors(model).contiguous()}, path))
    write(folder / WEIGHTS, lambda path: save_file(_weights(model), path))
    write(folder / VOCABULARY, lambda path: path.write_bytes(orjson.dumps(asdict(vocabulary))))
    description = {
        "dimension": config.model.users.dimension,
        "length": config.model.users.length,
        "text_dimension": model.items.sizes[0],
        "objective": config.objective.kind,
        "config": asdict(config),
        "training": asdict(outcome),
    }
    write(folder / DESCRIPTION, lambda path: path.write_bytes(orjson.dumps(description, option=orjson.OPT_INDENT_2)))


def load_vocabulary(folder: Path) -> Vocabulary:
    """Of a model's folder. Raises BrokenModel."""
    try:
        names = orjson.loads((folder / VOCABULARY).read_bytes())
        return Vocabulary(**{key: tuple(value) for key, value in names.items()})
    except (OSError, ValueError, TypeError) as error:
        raise BrokenModel(str(folder / VOCABULARY), str(error)) from error


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Parameters by name. Raises BrokenModel."""
    try:
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise BrokenModel(str(folder / WEIGHTS), str(error)) from error


def take_over(model: BehaviourModel, weights: Mapping[str, Tensor]) -> None:
    """Starts a model from one whose vocabulary it continues: known rows are copied, new ones keep their first values.

    Raises BrokenModel when a tensor has another shape than the configuration asks for, or is missing.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            old = weights.get(name)
            if old is None or old.shape[1:] != parameter.shape[1:] or len(old) > len(parameter):
                shape = tuple(old.shape) if old is not None else None
                raise BrokenModel(name, f"has the shape {shape}; the configuration asks for {tuple(parameter.shape)}")
            if len(old) < len(parameter) and not isinstance(model.get_submodule(name.rpartition(".")[0]), nn.Embedding):
                raise BrokenModel(name, f"has {len(old)} rows; the configuration asks for {len(parameter)}")
            parameter[: len(old)] = old
        before = weights[KNOWN]
        model.items.known[: len(before)] |= before


def export_user_encoder(model: BehaviourModel, path: Path) -> None:
    """`item_vectors` f32 [B, L, D], `kinds` i64 [B, L], `ages_s` f32 [B, L] to `user_vectors` f32 [B, D]."""
    kinds_BL = torch.tensor([[0, 9, 9, 9], [9, 9, 9, 9]])
    vectors_BLD = torch.randn(2, 4, model.config.users.dimension, generator=torch.Generator().manual_seed(0))
    free = {0: "batch", 1: "length"}
    _export(
        model.users,
        (vectors_BLD, kinds_BL, torch.tensor([[3e5, 2e5, 1e5, 0.0]]).expand(2, 4)),
        path,
        {"item_vectors": free, "kinds": free, "ages_s": free, "user_vectors": {0: "batch"}},
    )


def export_item_encoder(model: BehaviourModel, path: Path) -> None:
    """`text_vectors` f32 [B, T], `categories`, `parents`, `brands` i64 [B] to `item_vectors` f32 [B, D]."""
    zeros_B, free, components = torch.zeros(2, dtype=torch.int64), {0: "batch"}, model.items.sizes[0]
    axes = dict.fromkeys(("text_vectors", "categories", "parents", "brands", "item_vectors"), free)
    if not components:
        axes["text_vectors"] = {0: "batch", 1: "unused"}
    _export(
        _ContentGraph(model.items),
        (torch.zeros(2, components or 1), zeros_B, zeros_B, zeros_B),
        path,
        axes,
    )


class _ContentGraph(nn.Module):
    """The content encoder with all its inputs kept in the graph, whatever the data told of products."""

    def __init__(self, items: ItemEncoder) -> None:
        super().__init__()
        self.items = items

    def forward(self, text_NT: Tensor, categories_N: Tensor, parents_N: Tensor, brands_N: Tensor) -> Tensor:
        kept_N1 = 0.0 * (text_NT.sum(1) + categories_N + parents_N + brands_N).unsqueeze(1)
        if self.items.content is None:
            return kept_N1.expand(-1, self.items.ids.embedding_dim)
        return self.items.scaled(self.items.content(text_NT, categories_N, parents_N, brands_N)) + kept_N1


def _weights(model: BehaviourModel) -> dict[str, Tensor]:
    parameters = {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    return {**parameters, KNOWN: model.items.known}


def _export(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, axes: Mapping[str, Any]) -> None:
    *names, output = axes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            inputs,
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[output],
            dynamic_axes=dict(axes),
        )
