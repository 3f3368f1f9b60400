"""Releases as ranking needs them: item statistics, and the learned ranker in Triton."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from mercato.trainer.v1 import trainer_service_pb2 as pb

from services.ranking.ports import LearnedRanker, RankingRelease
from shared.errors.base import Unavailable
from shared.features.columns import Doubles, Statistics
from shared.features.registry import FEATURES
from shared.release.reader import ReleaseReader
from shared.triton.graphs import Graph, Tensor, TritonGraphs

RANKER, DESCRIPTION = "ranker.onnx", "ranker.json"


class ReleaseLoader:
    """For `ReleaseFollower`: a release counts as held once Triton has its ranker."""

    def __init__(self, graphs: TritonGraphs) -> None:
        self._graphs = graphs

    async def load(self, reader: ReleaseReader) -> RankingRelease:
        """Raises Unavailable, DeadlineExceeded, NotFound, Internal (a ranker that Triton refuses)."""
        parts = await reader.statistics()
        statistics = await asyncio.to_thread(statistics_from_proto, reader.release_id, parts)
        if not reader.has(RANKER, DESCRIPTION):
            return RankingRelease(statistics)
        ranker = _ranker(await reader.artifact(RANKER), await reader.document(DESCRIPTION))
        await self._graphs.load(ranker.graph)
        return RankingRelease(statistics, ranker)

    async def drop(self, release: RankingRelease) -> None:
        """Raises Unavailable."""
        if release.ranker is not None:
            await self._graphs.unload(release.ranker.graph)


def _ranker(content: bytes, description: dict[str, Any]) -> LearnedRanker:
    """Raises Unavailable for features that this version does not know: a newer trainer made the release."""
    names = tuple(description["features"])
    if unknown := sorted(set(names) - FEATURES.keys()):
        raise Unavailable("trainer", metadata={"detail": f"the ranker reads unknown features {', '.join(unknown)}"})
    places = {name: place for place, name in enumerate(names)}
    groups: dict[str, list[int]] = {}
    for name, group in description["groups"].items():
        if name in places:
            groups.setdefault(group, []).append(places[name])
    weights = np.array(description["weights"], dtype=np.float64)
    amounts = bool(description.get("amounts", False))  # rankers of earlier versions foretell none
    outputs = [Tensor("scores", "FP32", (-1, len(weights)))]
    if amounts:
        outputs.append(Tensor("amounts", "FP32", (-1, 1)))
    graph = Graph("ranker", content, (Tensor("features", "FP32", (-1, len(names))),), tuple(outputs))
    return LearnedRanker(
        graph=graph,
        features=names,
        baseline=np.array(description["baseline"], dtype=np.float32),
        groups={group: tuple(members) for group, members in groups.items()},
        weights=weights,
        purchase=description["tasks"].index("purchase"),
        foretells_amounts=amounts,
    )


def statistics_from_proto(release_id: str, parts: list[pb.ReadItemStatisticsResponse]) -> Statistics:
    """Joins the parts of a stream; the first one speaks of the whole shop."""
    whole = parts[0] if parts else pb.ReadItemStatisticsResponse()
    product_ids = [product_id for part in parts for product_id in part.product_ids]
    buyers_56d = _column(parts, "buyers_56d")
    leaf_indexes = _column(parts, "leaf_indexes").astype(np.int64)
    sizes = (
        np.bincount(leaf_indexes, buyers_56d + 0.5, minlength=len(whole.leaves)) if len(leaf_indexes) else np.empty(0)
    )
    shape = (len(whole.renewal_count_edges) + 1, len(whole.renewal_day_edges) + 1)
    renewal = np.array(whole.renewal_probabilities, dtype=np.float64)
    return Statistics(
        release_id=release_id,
        positions={product_id: position for position, product_id in enumerate(product_ids)},
        buyers_7d=_column(parts, "buyers_7d"),
        buyers_28d=_column(parts, "buyers_28d"),
        buyers_56d=buyers_56d,
        buyers_112d=_column(parts, "buyers_112d"),
        repeat_interval_days=_column(parts, "repeat_interval_days"),
        repurchase_probabilities=_column(parts, "repurchase_probabilities"),
        leaf_sizes=dict(zip(whole.leaves, sizes.tolist(), strict=False)),
        leaf_total=float(sizes.sum()),
        user_count=whole.user_count,
        renewal=renewal.reshape(shape) if renewal.size == shape[0] * shape[1] else np.empty((0, 0)),
        renewal_count_edges=np.array(whole.renewal_count_edges, dtype=np.float64),
        renewal_day_edges=np.array(whole.renewal_day_edges, dtype=np.float64),
    )


def _column(parts: list[Any], name: str) -> Doubles:
    return np.concatenate([np.array(getattr(part, name), dtype=np.float64) for part in parts] or [np.empty(0)])
