"""One byte a weight, quantised per row: a text's vector does not depend on the texts or padding beside it.

ONNX Runtime's own dynamic quantisation takes one scale for a whole activation tensor, so that the vector of a text
changes with its neighbours in the batch (measured here: cosine down to .98). This rewrite takes one symmetric scale
per token (row) and one per output column of the weights, in standard operators; the integer product is ONNX
Runtime's ``MatMulInteger``. It is as fast, closer to the 32-bit model, and exact under any batching.

    x ≈ row_scale · (q - 128),  q uint8      W ≈ column_scale · Q,  Q int8 in -63…63
    x·W ≈ row_scale · column_scale · Σ (q - 128) · Q

Weights use seven bits because processors without VNNI add pairs of byte products in 16 bits: 2 · 255 · 64 fits,
2 · 255 · 127 would be cut without an error. So the integer products are the same on every processor.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

RECIPE = 1
"""Part of the release id: raise it when this rewrite changes vectors."""
_ACTIVATION_LEVELS = 127
_WEIGHT_LEVELS = 63
_TABLE_LEVELS = 127
_LARGE_TABLE = 100_000
"""Embedding tables with more numbers than this are stored in one byte each too."""
_SMALLEST = 1e-12


def quantize(source: Path, target: Path) -> int:
    """Rewrites the graph at ``source`` into ``target``. Returns how many matrix products became integer products."""
    model = onnx.load(source)
    rewrite = _Rewrite(model.graph)
    count = rewrite.run()
    onnx.checker.check_model(model)
    onnx.save(model, target)
    return count


class _Rewrite:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, NDArray[np.generic]] = {}
        self._rows: dict[str, str] = {}

    def run(self) -> int:
        count = 0
        for node in self._graph.node:
            if node.op_type == "MatMul" and self._is_matrix(node.input[1]):
                self._product(node)
                count += 1
            elif node.op_type == "Gather" and self._is_large_table(node.input[0]):
                self._lookup(node)
            else:
                self._nodes.append(node)
        self._store()
        return count

    def _is_matrix(self, name: str) -> bool:
        return name in self._weights and len(self._weights[name].dims) == 2

    def _is_large_table(self, name: str) -> bool:
        return self._is_matrix(name) and int(np.prod(self._weights[name].dims)) >= _LARGE_TABLE

    def _product(self, node: NodeProto) -> None:
        """MatMul with constant weights: integer product, then both scales."""
        (rows, weights), out = node.input, node.output[0]
        if f"{weights}_q" not in self._constants:
            matrix = numpy_helper.to_array(self._weights[weights])
            quantized, scale = _symmetric(matrix, axis=0, levels=_WEIGHT_LEVELS)
            self._constants |= {f"{weights}_q": quantized, f"{weights}_scale": scale}
            self._constant("rowwise_offset", np.array(128, np.uint8))
        quantized_rows = self._quantized_rows(rows, self._weights[weights].dims[0])
        self._add("MatMulInteger", [quantized_rows, f"{weights}_q", "rowwise_offset"], f"{out}_int")
        self._add("Cast", [f"{out}_int"], f"{out}_float", to=TensorProto.FLOAT)
        self._add("Mul", [f"{out}_float", f"{rows}_row_scale"], f"{out}_rows")
        self._add("Mul", [f"{out}_rows", f"{weights}_scale"], out)

    def _quantized_rows(self, rows: str, width: int) -> str:
        """The activation in one byte with one scale a row; shared by all products that read it."""
        if rows in self._rows:
            return self._rows[rows]
        prefix = self._rows[rows] = f"{rows}_row"
        self._constant("rowwise_step", np.array(1 / _ACTIVATION_LEVELS, np.float32))
        self._constant("rowwise_smallest", np.array(_SMALLEST, np.float32))
        self._constant("rowwise_flat", np.array([-1], np.int64))
        self._constant(f"rowwise_matrix_{width}", np.array([-1, width], np.int64))
        self._add("Abs", [rows], f"{prefix}_abs")
        self._add("ReduceMax", [f"{prefix}_abs"], f"{prefix}_max", axes=[-1], keepdims=1)
        self._add("Max", [f"{prefix}_max", "rowwise_smallest"], f"{prefix}_top")
        self._add("Mul", [f"{prefix}_top", "rowwise_step"], f"{prefix}_scale")
        self._add("Reshape", [rows, f"rowwise_matrix_{width}"], f"{prefix}_matrix")
        self._add("Reshape", [f"{prefix}_scale", "rowwise_flat"], f"{prefix}_scales")
        self._add("Shape", [f"{prefix}_scales"], f"{prefix}_count")
        offset = helper.make_tensor("value", TensorProto.UINT8, [1], [128])
        self._add("ConstantOfShape", [f"{prefix}_count"], f"{prefix}_offsets", value=offset)
        self._add(
            "QuantizeLinear",
            [f"{prefix}_matrix", f"{prefix}_scales", f"{prefix}_offsets"],
            f"{prefix}_bytes",
            axis=0,
        )
        self._add("Shape", [rows], f"{prefix}_shape")
        self._add("Reshape", [f"{prefix}_bytes", f"{prefix}_shape"], prefix)
        return prefix

    def _lookup(self, node: NodeProto) -> None:
        """Embedding table: bytes and one scale a row, both looked up."""
        (table, index), out = node.input, node.output[0]
        if f"{table}_q" not in self._constants:
            values = numpy_helper.to_array(self._weights[table])
            quantized, scale = _symmetric(values, axis=1, levels=_TABLE_LEVELS)
            self._constants |= {f"{table}_q": quantized, f"{table}_scale": scale}
        self._add("Gather", [f"{table}_q", index], f"{out}_int")
        self._add("Gather", [f"{table}_scale", index], f"{out}_scale")
        self._add("Cast", [f"{out}_int"], f"{out}_float", to=TensorProto.FLOAT)
        self._add("Mul", [f"{out}_float", f"{out}_scale"], out)

    def _constant(self, name: str, value: NDArray[np.generic]) -> None:
        self._constants.setdefault(name, value)

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def _store(self) -> None:
        """Puts nodes and constants in place; weights that nothing reads any more go."""
        read = {name for node in self._nodes for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        self._graph.initializer.extend(
            numpy_helper.from_array(value, name) for name, value in self._constants.items() if name in read
        )
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)


def _symmetric(values: NDArray[np.float32], *, axis: int, levels: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Bytes and scale, the largest number along ``axis`` at ±``levels``."""
    keep = axis == 1
    scale = np.maximum(np.abs(values).max(axis, keepdims=keep), _SMALLEST) / levels
    quantized = np.clip(np.rint(values / scale), -levels, levels).astype(np.int8)
    return quantized, scale.astype(np.float32)
