"""Lists as the running suite serves them: the whole pipeline through the gateway, single channels through retrieval."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import grpc
import numpy as np
from mercato.gateway.v1 import recommendation_pb2, recommendation_service_pb2
from mercato.retrieval.v1 import candidates_pb2, retrieval_service_pb2
from mercato.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub

from services.cli.client import Gateway
from services.cli.errors import CliError
from services.cli.evaluation.baselines import OWN_HALF_LIFE_DAYS
from services.cli.evaluation.protocol import DEPTH
from services.cli.evaluation.split import Split
from services.cli.output import Meter

IN_FLIGHT = 6
CONTENT_SEEDS, LONGEST_SEEDS = 8, 2000
DISPENSABLE = (recommendation_pb2.STAGE_VECTOR_INDEX, recommendation_pb2.STAGE_EXPECTED_AMOUNT)
Lists = dict[int, list[int]]


class Served:
    """Asks for many households at once."""

    def __init__(self, gateway: Gateway, retrieval: grpc.aio.Channel, split: Split) -> None:
        self._gateway = gateway
        self._retrieval = RetrievalServiceStub(retrieval)
        self._split = split
        self._numbers = {item: number for number, item in enumerate(split.items)}

    async def recommended(
        self, users: Sequence[int], meter: Meter, *, only_new: bool, revenue_weight: float | None = None
    ) -> Lists:
        """`Recommend` for every user. Raises CliError when a stage was missing: then it is not what serves.

        An order by revenue may have prices in the place of amounts that are foretold: that is what the blend serves.
        """

        async def ask(user: int) -> list[int]:
            request = recommendation_service_pb2.RecommendRequest(
                user_id=self._split.users[user], page_size=DEPTH, exclude_purchased=only_new
            )
            if revenue_weight is not None:
                request.revenue_weight = revenue_weight
            response = await self._gateway.call(self._gateway.recommendations.Recommend, request)
            needed = [stage for stage in response.missing_stages if stage.stage not in DISPENSABLE]
            if needed:
                raise CliError(f"stages were missing: {[stage.cause for stage in needed]}; is the machine overloaded?")
            return [self._numbers[result.product.product_id] for result in response.results]

        return await self._all(users, ask, meter)

    async def item_to_item(self, users: Sequence[int], meter: Meter, *, only_new: bool) -> Lists:
        """The channel BOUGHT_TOGETHER alone, ordered by the sum of neighbour weights."""
        return await self._channel(users, meter, recommendation_pb2.CHANNEL_BOUGHT_TOGETHER, only_new=only_new)

    async def content(self, users: Sequence[int], meter: Meter, *, only_new: bool) -> Lists:
        """The channel SIMILAR_TO_RECENT alone, ordered by cosine to the mean of the latest products."""
        return await self._channel(users, meter, recommendation_pb2.CHANNEL_SIMILAR_TO_RECENT, only_new=only_new)

    async def _channel(
        self, users: Sequence[int], meter: Meter, channel: recommendation_pb2.Channel.ValueType, *, only_new: bool
    ) -> Lists:
        latest = _latest(self._split)
        by_content = channel == recommendation_pb2.CHANNEL_SIMILAR_TO_RECENT

        async def ask(user: int) -> list[int]:
            ages = latest.get(user, {})
            order = sorted(ages, key=lambda item: ages[item])[:LONGEST_SEEDS]
            seeds = candidates_pb2.Seeds(
                product_ids=[self._split.items[item] for item in order],
                weights=[2.0 ** (-ages[item] / OWN_HALF_LIFE_DAYS) for item in order],
                content_weights=[1.0] * min(len(order), CONTENT_SEEDS),
                bought=[True] * len(order),
            )
            request = retrieval_service_pb2.FindCandidatesRequest(
                seeds=seeds, channels=[channel], exclude_bought=only_new, channel_size=200, buy_again_size=LONGEST_SEEDS
            )
            if not only_new and not by_content:
                request.channels.append(recommendation_pb2.CHANNEL_BUY_AGAIN)
            found = (await self._retrieval.FindCandidates(request, timeout=30)).candidates
            scores = found.content_scores if by_content else found.neighbour_scores
            ranked = sorted(range(len(scores)), key=lambda place: (-scores[place], found.product_ids[place]))
            return [self._numbers[found.product_ids[place]] for place in ranked[:DEPTH]]

        return await self._all(users, ask, meter)

    @staticmethod
    async def _all(users: Sequence[int], ask: Callable[[int], Awaitable[list[int]]], meter: Meter) -> Lists:
        lists: Lists = {}
        waiting = iter(users)

        async def worker() -> None:
            for user in waiting:
                lists[user] = await ask(user)
                meter.update(len(lists))

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        return lists


def _latest(split: Split) -> Mapping[int, dict[int, float]]:
    """Days since the latest purchase, by user and item."""
    keys = split.user_rows.astype(np.int64) * len(split.items) + split.item_rows
    order = np.argsort(split.ages_days, kind="stable")
    pairs, first = np.unique(keys[order], return_index=True)
    found: dict[int, dict[int, float]] = {}
    for pair, age in zip(pairs.tolist(), split.ages_days[order][first].tolist(), strict=True):
        found.setdefault(pair // len(split.items), {})[pair % len(split.items)] = age
    return found


async def release_in_use(gateway: Gateway, user: str, release_id: str = "", seconds: float = 120) -> str:
    """Waits until answers use a release, by all its stages; an empty id: any. Returns it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        request = recommendation_service_pb2.RecommendRequest(user_id=user, page_size=1)
        response = await gateway.call(gateway.recommendations.Recommend, request)
        if response.release_id and release_id in ("", response.release_id) and not response.missing_stages:
            return response.release_id
        await asyncio.sleep(0.5)
    raise CliError("no answer used the new release within 120 s; see the logs of retrieval and ranking")
