"""A model repository with one model that answers what it was asked."""

from pathlib import Path

CONFIG = """name: "identity"
backend: "python"
max_batch_size: 8
input [{ name: "x" data_type: TYPE_INT64 dims: [ -1 ] }]
output [{ name: "y" data_type: TYPE_INT64 dims: [ -1 ] }]
instance_group [{ kind: KIND_CPU count: 2 }]
dynamic_batching { }
"""

MODEL = """import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        inputs = [pb.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [pb.InferenceResponse([pb.Tensor("y", values)]) for values in inputs]
"""


def write_identity_model(repository: Path) -> Path:
    """Writes ``identity`` with two instances; returns the repository."""
    version = repository / "identity" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(CONFIG)
    (version / "model.py").write_text(MODEL)
    return repository
