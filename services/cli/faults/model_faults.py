"""Faults of what was learnt: the encoder's graph in Triton's repository, a release's artifacts in PostgreSQL."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from mercato.gateway.v1 import operations_service_pb2 as pb
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from services.cli.errors import CliError
from services.cli.faults.filling import answers_by, until
from services.cli.faults.measure import Fault
from services.cli.faults.place import Place
from services.cli.faults.traffic import Traffic

MODEL, GRAPH = "text_encoder", Path("text_encoder") / "1" / "model.onnx"
FLIPPED_BYTES = 64
STAYS_SECONDS = 8.0
READERS = ("retrieval", "ranking", "encoder", "gateway")
_DAMAGE = """
UPDATE trainer.blob_chunks
SET content = set_byte(content, length(content) / 2, 255 - get_byte(content, length(content) / 2))
WHERE sha256 IN (SELECT sha256 FROM trainer.artifacts WHERE release_id = %(bad)s
                 EXCEPT SELECT sha256 FROM trainer.artifacts WHERE release_id = %(good)s)
"""


def model_faults() -> list[Fault]:
    """Each must be refused, and what answered before must go on."""
    flipped = f"{FLIPPED_BYTES} bytes of {GRAPH} inverted"
    learnt = "a byte of every artifact of a new release inverted in PostgreSQL, the release promoted"
    return [
        Fault("encoder's graph corrupted, loaded again", f"{flipped}; load_model", _loaded, STAYS_SECONDS),
        Fault("encoder's graph corrupted, Triton killed", f"{flipped}; SIGKILL", _restarted, 0.0),
        Fault("release corrupted, promoted", learnt, _promoted, STAYS_SECONDS),
        Fault("release corrupted, its readers killed", f"{learnt}; SIGKILL of {', '.join(READERS)}", _reread, 30.0),
    ]


@asynccontextmanager
async def _loaded(place: Place, traffic: Traffic) -> AsyncIterator[None]:
    whole = _damage(place)
    client = InferenceServerClient(place.suites["triton"].addresses["triton"])
    try:
        try:
            await client.load_model(MODEL)
        except InferenceServerException:
            yield
        else:
            raise CliError("Triton took a damaged graph")
    finally:
        await client.close()
        (place.repository / GRAPH).write_bytes(whole)


@asynccontextmanager
async def _restarted(place: Place, traffic: Traffic) -> AsyncIterator[None]:
    whole = _damage(place)
    place.send("triton", signal.SIGKILL)
    yield
    await asyncio.sleep(1.0)
    await place.serving()
    if (place.repository / GRAPH).read_bytes() != whole:
        raise CliError("the damaged graph was not repaired")


@asynccontextmanager
async def _promoted(place: Place, traffic: Traffic) -> AsyncIterator[None]:
    async with _damaged_release(place, traffic):
        yield


@asynccontextmanager
async def _reread(place: Place, traffic: Traffic) -> AsyncIterator[None]:
    async with _damaged_release(place, traffic):
        for unit in READERS:
            place.send(unit, signal.SIGKILL)
        yield


@asynccontextmanager
async def _damaged_release(place: Place, traffic: Traffic) -> AsyncIterator[None]:
    """The current release is one that nobody can read. Raises CliError when it answered."""
    operations = traffic.streams.operations
    good = (await traffic.streams.call(operations.GetRelease, pb.GetReleaseRequest())).release.release_id
    bad = ""
    request = pb.TrainRequest(keep_current=True, kind=pb.TRAINING_KIND_TABLES)
    async for part in traffic.streams.stream(operations.Train, request):
        bad = part.release.release_id or bad
    async with await psycopg.AsyncConnection.connect(place.dsn) as connection:
        await connection.execute(_DAMAGE, {"bad": bad, "good": good})
    await traffic.streams.call(operations.PromoteRelease, pb.PromoteReleaseRequest(release_id=bad))
    try:
        yield
    finally:
        await until(lambda: _promote(traffic, good), "the way back is closed")
    if traffic.releases[bad]:
        raise CliError(f"{traffic.releases[bad]} answers were made by a damaged release")
    await until(lambda: answers_by(traffic.streams, good), f"release {good} does not answer")


async def _promote(traffic: Traffic, release_id: str) -> bool:
    request = pb.PromoteReleaseRequest(release_id=release_id)
    await traffic.streams.call(traffic.streams.operations.PromoteRelease, request)
    return True


def _damage(place: Place) -> bytes:
    """Inverts bytes in the middle of the graph, in place; returns what it was."""
    path = place.repository / GRAPH
    whole = path.read_bytes()
    middle = len(whole) // 2
    with path.open("r+b") as file:
        file.seek(middle)
        file.write(bytes(255 - byte for byte in whole[middle : middle + FLIPPED_BYTES]))
    return whole
