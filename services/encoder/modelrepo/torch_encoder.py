"""The reference: the model as transformers runs it, with pooling and L2 normalisation, in torch, 32-bit floats.

Legend: B texts, T tokens (padded), D components.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from services.encoder.modelrepo.manifest import Pooling
from services.encoder.modelrepo.source import EncoderSource

OPSET = 17


class TorchEncoder(torch.nn.Module):
    """Token ids and mask in, unit vectors out."""

    def __init__(self, source: EncoderSource) -> None:
        super().__init__()
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        # "eager" attention is plain matrix products, which every exporter and quantiser understands
        self.body: Any = AutoModel.from_pretrained(
            source.folder, attn_implementation="eager", dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        self.pooling = source.pooling
        self.eval()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """int64 [B, T] and int64 [B, T] (1 token, 0 padding) to float32 [B, D]."""
        hidden_BTD = self.body(input_ids=input_ids, attention_mask=attention_mask)[0]
        if self.pooling is Pooling.CLS:
            pooled_BD = hidden_BTD[:, 0]
        else:
            mask_BT1 = attention_mask.unsqueeze(-1).to(hidden_BTD.dtype)
            pooled_BD = (hidden_BTD * mask_BT1).sum(1) / mask_BT1.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(pooled_BD, p=2.0, dim=1)

    @property
    def dimension(self) -> int:
        """D."""
        return int(self.body.config.hidden_size)

    @property
    def vocabulary(self) -> int:
        """Token ids are below this."""
        return int(self.body.config.vocab_size)

    def vectors(self, ids_BT: NDArray[np.int64], mask_BT: NDArray[np.int64]) -> NDArray[np.float32]:
        """``forward`` on arrays, without gradients."""
        with torch.inference_mode():
            vectors: NDArray[np.float32] = self(torch.from_numpy(ids_BT), torch.from_numpy(mask_BT)).numpy()
        return vectors

    def export(self, path: Path) -> None:
        """Writes one ONNX graph: inputs input_ids, attention_mask; output embedding; B and T free."""
        ids_BT = torch.full((2, 16), min(1000, self.vocabulary - 1), dtype=torch.int64)
        mask_BT = torch.ones_like(ids_BT)
        mask_BT[1, 10:] = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                self,
                (ids_BT, mask_BT),
                str(path),
                dynamo=False,  # torch 2.13's other exporter names the output twice when the graph ends in a norm
                opset_version=OPSET,
                input_names=["input_ids", "attention_mask"],
                output_names=["embedding"],
                dynamic_axes={
                    "input_ids": {0: "batch", 1: "length"},
                    "attention_mask": {0: "batch", 1: "length"},
                    "embedding": {0: "batch"},
                },
            )


def save_tokenizer(source: EncoderSource, path: Path) -> None:
    """Writes the model's fast tokenizer with truncation and padding off: serving sets them itself."""
    from tokenizers import Tokenizer

    given = source.folder / "tokenizer.json"
    if given.exists():
        tokenizer = Tokenizer.from_file(str(given))
    else:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, local_files_only=True).backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(path), pretty=False)
