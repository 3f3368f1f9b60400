"""``mercato.encoder.v1.EncoderService``."""

from dataclasses import dataclass
from typing import Any

from mercato.encoder.v1 import encoder_service_pb2 as pb
from mercato.encoder.v1 import encoder_service_pb2_grpc as pb_grpc

from services.encoder import converters
from services.encoder.compare_products import CompareProducts
from services.encoder.encode_behaviour import EncodeBehaviour
from services.encoder.encode_products import EncodeProducts
from services.encoder.encode_texts import EncodeTexts
from services.encoder.ports import BehaviourReleases
from shared.context.request import current_tenant


@dataclass(frozen=True)
class EncoderUseCases:
    """All that the service can do."""

    encode_texts: EncodeTexts
    encode_products: EncodeProducts
    compare_products: CompareProducts
    encode_behaviour: EncodeBehaviour
    releases: BehaviourReleases


class EncoderServicer(pb_grpc.EncoderServiceServicer):
    """Message in, use case, message out."""

    def __init__(self, use_cases: EncoderUseCases) -> None:
        self._use_cases = use_cases

    async def EncodeTexts(self, request: pb.EncodeTextsRequest, context: Any) -> pb.EncodeTextsResponse:
        return converters.texts_to_proto(await self._use_cases.encode_texts(list(request.texts)))

    async def EncodeProducts(self, request: pb.EncodeProductsRequest, context: Any) -> pb.EncodeProductsResponse:
        products = [converters.product_from_proto(product) for product in request.products]
        return converters.products_to_proto(await self._use_cases.encode_products(products))

    async def CompareProducts(self, request: pb.CompareProductsRequest, context: Any) -> pb.CompareProductsResponse:
        pairs = [converters.pair_from_proto(pair) for pair in request.pairs]
        return converters.similarities_to_proto(*await self._use_cases.compare_products(pairs))

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        tenant, releases = current_tenant(), self._use_cases.releases
        current = releases.of(tenant)
        message = converters.model_to_proto(self._use_cases.encode_texts.release)
        message.release_ids.extend(releases.held(tenant))
        message.behaviour_release_id = current.release_id if current is not None and current.model is not None else ""
        return message

    async def EncodeBehaviour(self, request: pb.EncodeBehaviourRequest, context: Any) -> pb.EncodeBehaviourResponse:
        rows = converters.rows_from_proto(request)
        found = await self._use_cases.encode_behaviour.user(current_tenant(), request.release_id, rows, request.time_s)
        return pb.EncodeBehaviourResponse(user_vector=found.vector, release_id=found.release_id, used_count=found.used)

    async def EncodeBehaviourProducts(
        self, request: pb.EncodeBehaviourProductsRequest, context: Any
    ) -> pb.EncodeBehaviourProductsResponse:
        products = [converters.cold_product_from_proto(one, at) for at, one in enumerate(request.products)]
        vectors = await self._use_cases.encode_behaviour.products(current_tenant(), request.release_id, products)
        return pb.EncodeBehaviourProductsResponse(vectors=vectors.astype("<f4").tobytes(), dimension=vectors.shape[1])
