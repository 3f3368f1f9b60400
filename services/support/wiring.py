"""Builds the support service. The only place that names its concrete classes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from mercato.support.v1 import support_service_pb2, support_service_pb2_grpc

from services.support.adapters.encoder import RemoteEncoder
from services.support.adapters.postgres import PostgresDocuments
from services.support.adapters.quoting import QuotingAnswerer
from services.support.adapters.retrieval import RemotePassageIndex
from services.support.ask import Ask, AskPolicy
from services.support.delete_document import DeleteDocument
from services.support.domain import Calibration
from services.support.import_documents import ImportDocuments
from services.support.index_documents import IndexWorker, WorkerPolicy
from services.support.keep_index import IndexKeeper
from services.support.ports import Systems
from services.support.servicer import SupportServicer, UseCases
from services.support.settings import SupportSettings
from shared.client.channel import channel_check, open_channel
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool, pool_check
from shared.server.parts import ServiceParts, Servicer
from shared.telemetry.outbox import watch_backlog


def read_calibration(path: Path) -> Calibration:
    """Reads what `python -m services.support.calibrate` wrote."""
    values = json.loads(path.read_text())
    passage, sentence, coverage = values["weights"]
    return Calibration((passage, sentence, coverage), values["bias"], values["threshold"])


@asynccontextmanager
async def build(settings: SupportSettings) -> AsyncIterator[ServiceParts]:
    """Opens what the service needs and yields what is served."""
    policy = AskPolicy(read_calibration(settings.calibration), settings.handover, settings.passages_searched)
    async with (
        open_pool(settings.postgres_dsn, max_size=6, application_name="mercato-support") as pool,
        open_channel(settings.encoder_address, service="encoder") as encoder_channel,
        open_channel(settings.retrieval_address, service="retrieval") as retrieval_channel,
    ):
        await migrate(pool, "services.support.migrations")
        documents = PostgresDocuments(pool, settings.passage_words)
        encoder, index = RemoteEncoder(encoder_channel), RemotePassageIndex(retrieval_channel)
        times = WorkerPolicy(settings.index_poll_seconds, settings.index_lease_seconds)
        systems = Systems(documents, documents, encoder, index)
        worker = IndexWorker(systems, times)
        keeper = IndexKeeper(systems, worker, settings.index_check_seconds)
        use_cases = UseCases(
            ask=Ask(documents, encoder, index, QuotingAnswerer(encoder), policy),
            import_documents=ImportDocuments(documents, worker),
            delete_document=DeleteDocument(documents, worker),
            documents=documents,
        )
        yield ServiceParts(
            name="support",
            servicers=(
                Servicer(
                    support_service_pb2.DESCRIPTOR.services_by_name["SupportService"],
                    support_service_pb2_grpc.add_SupportServiceServicer_to_server,
                    SupportServicer(use_cases),
                ),
            ),
            dependencies={
                "postgres": pool_check(pool),
                "encoder": channel_check(encoder_channel, "encoder"),
                "retrieval": channel_check(retrieval_channel, "retrieval"),
            },
            critical=frozenset({"postgres"}),
            background=(worker.run, keeper.run, partial(watch_backlog, "documents", documents.backlog)),
        )
