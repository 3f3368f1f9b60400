"""The choices that figures depend on, and that every report states."""

from __future__ import annotations

from shared.evaluation.intervals import Resampling
from shared.evaluation.slices import SliceConfig

HEAD, DEPTH = 10, 20
"""Measures of the head of a list, and its length."""
CATEGORIES = 8
"""Largest departments that are reported on their own."""
SEED = 84
"""Of the sample of households."""
RESAMPLING = Resampling(draws=2000, confidence=0.95, seed=0)
SLICES = SliceConfig(new_user_events=15)
MODES = {"all": "all products", "new": "only products new to the household"}
BASELINE = {"all": "own most-bought, decayed", "new": "popularity"}
"""What every model is compared with, by mode."""

PROTOCOL = {
    "data": "Complete Journey (84.51°), one year of purchases; rows with quantity <= 0 and repeats in a basket "
    "dropped; households with >= 5 train baskets, products with >= 10 train rows",
    "split": "by time, one cut for all: the last 28 days are the truth, nothing after the cut is loaded",
    "truth": "every kept product that the household bought in the test weeks; households without any are left out",
    "candidates": "full ranking over all products, no sampled negatives",
    "query time": "the cut, for every household; the moments of test baskets are not known to any model",
    "seen items": "all products: what was bought before may be listed and counts; only new products: neither",
    "ties": "baselines: more popular first, then the smaller product id; the suite answers in the order that it serves",
    "missing lists": "a household without a list scores 0 in accuracy and is left out of measures of the list itself",
    "intervals": "95 % percentile bootstrap over households, 2,000 draws",
    "tests": "paired randomisation test, two-sided, 2,000 draws, Holm-corrected over the models of a mode",
    "slices": f"new: < {SLICES.new_user_events} baskets before the cut; light, medium, heavy: thirds of the others by "
    f"baskets; new products: first bought < {SLICES.new_product_days:.0f} days before the cut; departments: the "
    f"{CATEGORIES} that most households chose from; of product slices only their own products are true",
}
