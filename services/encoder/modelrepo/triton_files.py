"""The files beside the graph that Triton reads: ``config.pbtxt`` and ``1/model.py``."""

import os
from dataclasses import dataclass
from importlib.resources import files

from services.encoder.modelrepo.manifest import MODEL_NAME, ModelManifest

CONFIG_FILE = "config.pbtxt"
BACKEND_FILE = "model.py"
_CONFIG = """\
# Written by services.encoder.modelrepo; written again when a setting changes.
name: "{name}"
backend: "python"
max_batch_size: {max_batch}
input [
  {{ name: "input_ids" data_type: TYPE_INT64 dims: [ -1 ] allow_ragged_batch: true }},
  {{ name: "attention_mask" data_type: TYPE_INT64 dims: [ -1 ] allow_ragged_batch: true }}
]
output [
  {{ name: "embedding" data_type: TYPE_FP32 dims: [ {dimension} ] }}
]
instance_group [
  {{ count: {instances} kind: KIND_CPU }}
]
dynamic_batching {{
  max_queue_delay_microseconds: {queue_delay}
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy {{
    timeout_action: REJECT
    allow_timeout_override: true
    max_queue_size: {queue_size}
  }}
}}
version_policy {{ latest {{ num_versions: 2 }} }}
parameters {{ key: "release_id" value {{ string_value: "{release_id}" }} }}
parameters {{ key: "graph_sha256" value {{ string_value: "{graph_sha256}" }} }}
parameters {{ key: "pad_id" value {{ string_value: "{pad_id}" }} }}
parameters {{ key: "max_tokens" value {{ string_value: "{max_tokens}" }} }}
"""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How Triton runs the model."""

    instances: int = 0
    """Processes, one thread each; 0: one a core of the machine that writes the repository."""
    max_batch: int = 16
    """Most texts of one run. More are hardly faster on a processor, and what comes next waits longer."""
    queue_delay_microseconds: int = 0
    """How long a request waits for others to share its run; 0: only what waits already is shared."""
    queue_size: int = 512
    """Requests that may wait; more are refused."""


def config_text(manifest: ModelManifest, serving: Serving) -> str:
    """``config.pbtxt``. The release id stands in the parameters: the encoder service compares it with its own."""
    return _CONFIG.format(
        name=MODEL_NAME,
        max_batch=serving.max_batch,
        dimension=manifest.dimension,
        instances=serving.instances or cores(),
        queue_delay=serving.queue_delay_microseconds,
        queue_size=serving.queue_size,
        release_id=manifest.release_id,
        graph_sha256=manifest.graph_sha256,
        pad_id=manifest.pad_id,
        max_tokens=manifest.max_tokens,
    )


def backend_text() -> str:
    """``model.py``: the source of ``triton_model``."""
    return files("services.encoder.modelrepo").joinpath("triton_model.py").read_text()
