"""What all answers that show products share: ranked products, their reasons, the attribution token."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mercato.gateway.v1 import product_pb2, recommendation_pb2
from mercato.ranking.v1 import ranking_service_pb2

from shared.attribution.token import Attribution, TokenSigner, product_hash
from shared.context.request import current_request_id, current_tenant

Channel = recommendation_pb2.Channel
CHANNELS = tuple(Channel.values())

SIMPLE_REASONS = {
    recommendation_pb2.CHANNEL_BUY_AGAIN: (recommendation_pb2.REASON_CODE_BOUGHT_OFTEN, "You bought this before"),
    recommendation_pb2.CHANNEL_BOUGHT_TOGETHER: (
        recommendation_pb2.REASON_CODE_BOUGHT_TOGETHER,
        "Bought by people with purchases like yours",
    ),
    recommendation_pb2.CHANNEL_SEMANTIC: (recommendation_pb2.REASON_CODE_MATCHES_QUERY, "Means what you searched for"),
    recommendation_pb2.CHANNEL_KEYWORD: (recommendation_pb2.REASON_CODE_MATCHES_QUERY, "Has the words of your search"),
}
POPULAR_REASON = (recommendation_pb2.REASON_CODE_POPULAR, "Popular in this shop")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A product in its place."""

    product_id: str
    score: float
    channel: Channel.ValueType
    channels: tuple[Channel.ValueType, ...]
    reason: recommendation_pb2.Reason
    contributions: Sequence[recommendation_pb2.FeatureContribution] = ()

    @classmethod
    def from_proto(cls, item: ranking_service_pb2.RankedCandidate, mask: int) -> Ranked:
        """As ranking gave it; the mask tells all channels."""
        channels = tuple(channel for channel in CHANNELS if mask >> channel & 1)
        return cls(
            item.product_id, item.score, item.channel, channels or (item.channel,), item.reason, item.contributions
        )

    @classmethod
    def simple(cls, product_id: str, channel: Channel.ValueType, score: float) -> Ranked:
        """Without a ranking: the channel is the reason."""
        code, text = SIMPLE_REASONS.get(channel, POPULAR_REASON)
        return cls(product_id, score, channel, (channel,), recommendation_pb2.Reason(code=code, text=text))

    def to_proto(self, product: product_pb2.Product) -> recommendation_pb2.RankedProduct:
        """With the product as it is now."""
        return recommendation_pb2.RankedProduct(
            product=product,
            score=self.score,
            channel=self.channel,
            channels=self.channels,
            reason=self.reason,
            contributions=self.contributions,
        )


class Answerer:
    """Signs what was shown."""

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer

    def token(
        self,
        list_kind: str,
        release_id: str,
        product_ids: Sequence[str],
        first_position: int = 0,
        exposures: tuple[tuple[str, str], ...] = (),
    ) -> str:
        """The attribution token of an answer to the current request."""
        attribution = Attribution(
            request_id=current_request_id(),
            tenant=current_tenant(),
            release_id=release_id,
            list_kind=list_kind,
            time_s=int(time.time()),
            product_hashes=tuple(product_hash(product_id) for product_id in product_ids),
            first_position=first_position,
            exposures=exposures,
        )
        return self._signer.sign(attribution)
