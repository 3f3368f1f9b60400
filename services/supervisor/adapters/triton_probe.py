"""Asks Triton by inference: its readiness stays true while the processes that run its models are dead."""

from tritonclient.grpc import service_pb2

from services.supervisor.adapters.grpc_probe import GrpcProbe, RefusedCall
from services.supervisor.domain import Health
from services.supervisor.errors import CheckFailed

SERVICE = "/inference.GRPCInferenceService"
DEAD_MODEL_PROCESS = "not healthy"
SIZES = {
    "BOOL": 1,
    "INT8": 1,
    "UINT8": 1,
    "INT16": 2,
    "UINT16": 2,
    "FP16": 2,
    "BF16": 2,
    "INT32": 4,
    "UINT32": 4,
}
SIZES |= {"FP32": 4, "INT64": 8, "UINT64": 8, "FP64": 8}


class TritonProbe:
    """Sends every ready model one small request made from its own description of its inputs."""

    def __init__(self, address: str) -> None:
        self._probe = GrpcProbe(address)

    async def __call__(self) -> Health:
        """NOT_SERVING when a model that should be there is not ready. Raises CheckFailed."""
        index = service_pb2.RepositoryIndexResponse.FromString(
            await self._probe.call(
                f"{SERVICE}/RepositoryIndex", service_pb2.RepositoryIndexRequest().SerializeToString()
            )
        )
        ready = {(model.name, model.version) for model in index.models if model.state == "READY"}
        wanted = {model.name for model in index.models if model.reason != "unloaded"}
        for name, version in sorted(ready):
            await self._infer(name, version)
        return Health.SERVING if wanted <= {name for name, _ in ready} else Health.NOT_SERVING

    async def close(self) -> None:
        """Closes the connection."""
        await self._probe.close()

    async def _infer(self, model: str, version: str) -> None:
        try:
            described = await self._probe.call(
                f"{SERVICE}/ModelMetadata",
                service_pb2.ModelMetadataRequest(name=model, version=version).SerializeToString(),
            )
            request = small_request(model, version, service_pb2.ModelMetadataResponse.FromString(described))
            await self._probe.call(f"{SERVICE}/ModelInfer", request.SerializeToString())
        except RefusedCall as error:
            # A model may refuse an input of ones; only a dead process is a reason to act.
            if DEAD_MODEL_PROCESS in str(error):
                raise CheckFailed(f"model {model}: {error}", definite=True) from error


def small_request(
    model: str, version: str, described: service_pb2.ModelMetadataResponse
) -> service_pb2.ModelInferRequest:
    """One element along every open dimension: numbers 1 for integers, 0 for floats, ``x`` for text."""
    request = service_pb2.ModelInferRequest(model_name=model, model_version=version)
    for wanted in described.inputs:
        shape = [max(size, 1) for size in wanted.shape]
        count = 1
        for size in shape:
            count *= size
        request.inputs.add(name=wanted.name, datatype=wanted.datatype, shape=shape)
        request.raw_input_contents.append(_element(wanted.datatype) * count)
    return request


def _element(datatype: str) -> bytes:
    """One value in Triton's raw layout: little endian, text with its length before it."""
    if datatype == "BYTES":
        return b"\x01\x00\x00\x00x"
    size = SIZES[datatype]
    return bytes(size) if datatype.startswith(("FP", "BF")) else (1).to_bytes(size, "little")
