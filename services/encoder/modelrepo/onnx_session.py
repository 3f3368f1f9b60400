"""An ONNX graph of the encoder run in this process, as one Triton instance runs it: one thread."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray


class OnnxEncoder:
    """Token ids and mask in, unit vectors out. B texts, T tokens, D components."""

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def vectors(self, ids_BT: NDArray[np.int64], mask_BT: NDArray[np.int64]) -> NDArray[np.float32]:
        """int64 [B, T] twice to float32 [B, D]."""
        vectors: NDArray[np.float32] = self._session.run(None, {"input_ids": ids_BT, "attention_mask": mask_BT})[0]
        return vectors
