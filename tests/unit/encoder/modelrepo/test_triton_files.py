"""``config.pbtxt`` as Triton reads it."""

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from services.encoder.modelrepo.manifest import ModelManifest, Pooling, Variant
from services.encoder.modelrepo.triton_files import Serving, backend_text, config_text, cores

MANIFEST = ModelManifest(
    release_id="some_model_int8_0123456789",
    source="folder:x",
    source_name="x",
    variant=Variant.INT8,
    dimension=384,
    max_tokens=256,
    pad_id=3,
    pooling=Pooling.MEAN,
    weights_sha256="",
    tokenizer_sha256="",
    source_sha256="",
    graph_sha256="",
    graph_bytes=0,
    recipe=1,
)


def parsed(serving: Serving) -> model_config_pb2.ModelConfig:
    return text_format.Parse(config_text(MANIFEST, serving), model_config_pb2.ModelConfig())


def test_inputs_and_outputs() -> None:
    config = parsed(Serving())
    assert (config.name, config.backend) == ("text_encoder", "python")
    assert [(one.name, list(one.dims), one.allow_ragged_batch) for one in config.input] == [
        ("input_ids", [-1], True),
        ("attention_mask", [-1], True),
    ]
    assert all(one.data_type == model_config_pb2.TYPE_INT64 for one in config.input)
    assert [(one.name, list(one.dims)) for one in config.output] == [("embedding", [384])]


def test_one_instance_a_core_and_no_waiting_by_default() -> None:
    config = parsed(Serving())
    assert config.instance_group[0].count == cores()
    assert config.dynamic_batching.max_queue_delay_microseconds == 0
    assert config.dynamic_batching.priority_levels == 2


def test_settings_arrive() -> None:
    config = parsed(Serving(instances=7, max_batch=5, queue_delay_microseconds=500, queue_size=9))
    assert (config.instance_group[0].count, config.max_batch_size) == (7, 5)
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 9


def test_the_release_stands_in_the_parameters() -> None:
    parameters = parsed(Serving()).parameters
    assert parameters["release_id"].string_value == MANIFEST.release_id
    assert parameters["pad_id"].string_value == "3"


def test_the_backend_stands_alone() -> None:
    text = backend_text()
    assert "class TritonPythonModel" in text
    assert "services." not in text
    assert "mercato" not in text
