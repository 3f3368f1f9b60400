"""Behaviour models of releases, from the trainer into Triton."""

from __future__ import annotations

from services.encoder.behaviour import BehaviourModel, BehaviourRelease, item_graph, user_graph
from shared.release.behaviour import BEHAVIOUR, ITEM_ENCODER, USER_ENCODER, read_products
from shared.release.reader import ReleaseReader
from shared.triton.graphs import TritonGraphs


class BehaviourLoader:
    """For `ReleaseFollower`: a release counts as held once Triton has its models."""

    def __init__(self, graphs: TritonGraphs) -> None:
        self._graphs = graphs

    async def load(self, reader: ReleaseReader) -> BehaviourRelease:
        """Raises Unavailable, DeadlineExceeded, NotFound, Internal (a graph that Triton refuses)."""
        products = await read_products(reader) if reader.has(USER_ENCODER, ITEM_ENCODER, BEHAVIOUR) else None
        if products is None:
            return BehaviourRelease(reader.release_id, None)
        facts = await reader.document(BEHAVIOUR)
        dimension, text_dimension = int(facts["dimension"]), max(int(facts["text_dimension"]), 1)
        model = BehaviourModel(
            release_id=reader.release_id,
            products=products,
            positions={product_id: place for place, product_id in enumerate(products.product_ids)},
            user_graph=user_graph(await reader.artifact(USER_ENCODER), dimension),
            item_graph=item_graph(await reader.artifact(ITEM_ENCODER), dimension, text_dimension),
            dimension=dimension,
            text_dimension=text_dimension,
        )
        for graph in (model.user_graph, model.item_graph):
            await self._graphs.load(graph)
        return BehaviourRelease(reader.release_id, model)

    async def drop(self, release: BehaviourRelease) -> None:
        """Raises Unavailable."""
        if release.model is not None:
            for graph in (release.model.user_graph, release.model.item_graph):
                await self._graphs.unload(graph)
