"""Recommenders by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from services.trainer.recommenders.affinity import Affinity, AffinityConfig
from services.trainer.recommenders.als import Als, AlsConfig
from services.trainer.recommenders.cold_start import ColdStart, ColdStartConfig
from services.trainer.recommenders.content_based import ContentBased, ContentBasedConfig
from services.trainer.recommenders.content_knn import ContentKnn, ContentKnnConfig
from services.trainer.recommenders.ease import Ease, EaseConfig
from services.trainer.recommenders.hybrid import Hybrid, HybridConfig
from services.trainer.recommenders.interface import Recommender
from services.trainer.recommenders.item_knn import ItemKnn, ItemKnnConfig
from services.trainer.recommenders.markov import Markov, MarkovConfig
from services.trainer.recommenders.own import Own, OwnConfig
from services.trainer.recommenders.popular import Popularity, PopularityConfig
from services.trainer.recommenders.user_knn import UserKnn, UserKnnConfig


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a model's constants depend on."""

    seed: int = 0
    horizon_days: float | None = 28.0
    """How far the foretelling reaches; None: the next event."""
    described: bool = True
    """Whether categories and brands of products are known."""
    texts: bool = True
    """Whether products have text vectors."""

    @property
    def half_life_days(self) -> float:
        """Of tastes. The next event follows from the last ones; a month from a season."""
        return NEXT_EVENT_HALF_LIFE_DAYS if self.horizon_days is None else HORIZON_HALF_LIFE_DAYS


def _hybrid(setup: Setup) -> Recommender:
    """The mix for shops where people come back for the same, or for sequences where what follows counts."""
    names = BASKET_PARTS if setup.horizon_days is not None else SEQUENCE_PARTS
    lacking = {"affinity": not setup.described, "content": not setup.texts, "content-knn": not setup.texts}
    parts = [CLASSICAL[name](setup) for name in names if not lacking.get(name, False)]
    return Hybrid("hybrid", parts, HybridConfig(horizon_days=setup.horizon_days, seed=setup.seed))


def _cold_start(setup: Setup) -> Recommender:
    """The mix for products nobody has bought."""
    names = [name for name in COLD_PARTS if setup.described or name != "affinity"]
    config = ColdStartConfig(horizon_days=setup.horizon_days, seed=setup.seed)
    return ColdStart("cold-start", [CLASSICAL[name](setup) for name in names], config)


HORIZON_HALF_LIFE_DAYS: Final = 112.0
NEXT_EVENT_HALF_LIFE_DAYS: Final = 14.0
RECENT_DAYS: Final = 14.0
BASKET_PARTS: Final = (
    "popularity",
    "popularity-recent",
    "own-decayed",
    "own-timed",
    "user-knn",
    "ease",
    "ease-latest",
    "als",
    "affinity",
    "item-knn-bm25",
    "markov",
)
SEQUENCE_PARTS: Final = ("popularity", "markov", "item-knn-cosine", "ease", "als", "content", "content-knn")
COLD_PARTS: Final = ("content", "content-knn", "affinity")

CLASSICAL: Final[Mapping[str, Callable[[Setup], Recommender]]] = {
    "popularity": lambda setup: Popularity(PopularityConfig()),
    "popularity-recent": lambda setup: Popularity(PopularityConfig(window_days=RECENT_DAYS), "popularity-recent"),
    "own": lambda setup: Own(OwnConfig(half_life_days=None, timed=False)),
    "own-decayed": lambda setup: Own(OwnConfig(half_life_days=HORIZON_HALF_LIFE_DAYS, timed=False)),
    "own-timed": lambda setup: Own(OwnConfig(horizon_days=setup.horizon_days or OwnConfig.horizon_days)),
    "user-knn": lambda setup: UserKnn(UserKnnConfig()),
    "item-knn-cosine": lambda setup: ItemKnn(ItemKnnConfig(half_life_days=setup.half_life_days)),
    "item-knn-bm25": lambda setup: ItemKnn(ItemKnnConfig(weighting="bm25", half_life_days=setup.half_life_days)),
    "als": lambda setup: Als(AlsConfig(seed=setup.seed, half_life_days=setup.half_life_days)),
    "ease": lambda setup: Ease(EaseConfig(half_life_days=setup.half_life_days)),
    "ease-latest": lambda setup: Ease(EaseConfig(entries="latest", half_life_days=setup.half_life_days)),
    "markov": lambda setup: Markov(MarkovConfig()),
    "content": lambda setup: ContentBased(ContentBasedConfig()),
    "content-knn": lambda setup: ContentKnn(ContentKnnConfig()),
    "affinity": lambda setup: Affinity(AffinityConfig()),
    "cold-start": _cold_start,
    "hybrid": _hybrid,
}
"""Factories; names are those of the models they make."""
