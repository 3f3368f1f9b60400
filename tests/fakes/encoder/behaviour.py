"""A release with a behaviour model of two components, and graphs that can be followed by hand."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from services.encoder.behaviour import BehaviourModel, BehaviourRelease, item_graph, user_graph
from services.encoder.ports import BehaviourReleases, GraphRunner
from shared.release.behaviour import BehaviourProducts
from shared.triton.graphs import Graph

PRODUCTS = BehaviourProducts(
    product_ids=("milk", "beer"),
    vectors=np.array([[1.0, 0.0], [0.0, 1.0]], np.float32),
    categories={"": 0, "Food > Milk": 1},
    parents={"": 0, "Food": 1},
    brands={"": 0, "Acme": 1},
)
MODEL = BehaviourModel(
    release_id="r-new",
    products=PRODUCTS,
    positions={"milk": 0, "beer": 1},
    user_graph=user_graph(b"user", 2),
    item_graph=item_graph(b"item", 2, 3),
    dimension=2,
    text_dimension=3,
)


class FakeBehaviourReleases(BehaviourReleases):
    """Holds ``r-new`` (current, with a model) and ``r-old`` (without)."""

    RELEASES = {"r-new": BehaviourRelease("r-new", MODEL), "r-old": BehaviourRelease("r-old", None)}

    @override
    def of(self, tenant: str, release_id: str = "") -> BehaviourRelease | None:
        return self.RELEASES.get(release_id or "r-new")

    @override
    def held(self, tenant: str) -> list[str]:
        return list(self.RELEASES)


class FakeGraphs(GraphRunner):
    """A user is the sum of their rows weighted by 1 / (1 + age in hours); a product is its category and brand number."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    @override
    async def run(self, graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.runs.append(graph.role)
        if graph.role == "user_encoder":
            weights = 1.0 / (1.0 + inputs["ages_s"] / 3600.0)
            return [(inputs["item_vectors"] * weights[..., None]).sum(axis=1).astype(np.float32)]
        return [np.stack([inputs["categories"], inputs["brands"]], axis=1).astype(np.float32)]
