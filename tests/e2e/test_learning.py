"""Models learn from a shop's events, and serve: from purchases to a learned order, through every process."""

from __future__ import annotations

import random

from mercato.gateway.v1 import operations_service_pb2 as operations
from mercato.gateway.v1 import product_pb2, recommendation_pb2
from mercato.gateway.v1 import recommendation_service_pb2 as pb

from tests.e2e.shop import Shop, products, purchase, until

PEOPLE, WEEKS = 60, 22
LEARNT = {
    "user_encoder.onnx",
    "item_encoder.onnx",
    "item_vectors.safetensors",
    "vocabulary.json",
    "behaviour.json",
    "ranker.onnx",
    "ranker.json",
    "drift.json",
    "neighbours",
    "statistics",
}


def purchases() -> list[object]:
    """People buy from one shelf every week and try another one now and then; seeded."""
    chance, ids = random.Random(5), [item.product_id for item in products()]
    events = []
    for person in range(PEOPLE):
        shelf = person % 4
        for week in range(WEEKS):
            usual = ids[5 * shelf + chance.randrange(3)]
            other = ids[5 * ((shelf + 1) % 4) + chance.randrange(5)]
            bought = [usual, other] if chance.random() < 0.4 else [usual]
            events.append(purchase(f"b-{person}-{week}", f"user-{person}", bought, 7 * week + 0.5 + person / 200))
    return events


async def test_a_shop_learns_and_serves_what_it_learnt(shop: Shop) -> None:
    await shop.import_products(products())
    events = purchases()
    for start in range(0, len(events), 500):
        await shop.write(events[start : start + 500])  # type: ignore[arg-type]
    await shop.indexed()

    tables = await shop.train()
    release = await shop.train(operations.TRAINING_KIND_FULL)
    assert (release.kind, release.parent_release_id) == (operations.TRAINING_KIND_FULL, tables.release_id)
    assert {artifact.name for artifact in release.artifacts} >= LEARNT
    assert release.gate.checks
    assert {metric.model for metric in release.metrics} >= {"release", "the blend"}
    whole = await shop.call(shop.operations.GetRelease, operations.GetReleaseRequest(release_id=release.release_id))
    assert f'"PURCHASE": {release.purchase_count}' in whole.release.data_card

    # Whatever the gate said of so small a shop: what was learnt must serve.
    promoted = operations.PromoteReleaseRequest(release_id=release.release_id)
    await shop.call(shop.operations.PromoteRelease, promoted)

    async def answer() -> pb.RecommendResponse:
        return await shop.recommend("user-1", page_size=20, explain=True)

    async def served() -> bool:
        return any(recommendation_pb2.CHANNEL_BEHAVIOUR in result.channels for result in (await answer()).results)

    await until(served)
    found = await answer()
    assert found.release_id == release.release_id
    assert not found.missing_stages
    assert found.results[0].product.product_id.startswith("bakery"), "the shelf that this person buys from"
    groups = {part.feature for result in found.results for part in result.contributions}
    assert groups & {"buy again", "bought together", "interest", "popularity", "behaviour"}

    # Amounts were learnt too: an order by expected revenue needs nothing to stand in for them.
    assert "revenue@10" in {metric.name for metric in release.metrics}
    earning = await shop.recommend("user-1", page_size=20, explain=True, revenue_weight=1.0)
    assert not earning.missing_stages
    assert any(part.feature == "amount" for result in earning.results for part in result.contributions)

    # A product that nobody has bought has a vector of the behaviour model within seconds.
    fresh = product_pb2.Product(
        product_id="bakery-new", title="Wholemeal bread", brand="Maker 1", category_path=["Grocery", "Bakery"]
    )
    await shop.import_products([fresh])

    async def expected() -> bool:
        response = await shop.recommend("user-1", page_size=50)
        return any(
            result.product.product_id == "bakery-new" and recommendation_pb2.CHANNEL_BEHAVIOUR in result.channels
            for result in response.results
        )

    await until(expected)

    # Fresh tables keep the models; learning goes on from them.
    again = await shop.train(operations.TRAINING_KIND_TABLES)
    assert {artifact.name for artifact in again.artifacts} >= LEARNT
    onward = await shop.train(operations.TRAINING_KIND_INCREMENTAL)
    assert onward.parent_release_id == again.release_id
    assert any("against the current release" in check for check in onward.gate.checks)
    assert any("drift" in check for check in onward.gate.checks)
