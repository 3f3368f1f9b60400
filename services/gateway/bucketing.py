"""Where a person stands in layers and experiments: by hashes alone, so every gateway says the same at any time."""

from __future__ import annotations

import hashlib

BUCKETS = 10_000


def layer_bucket(tenant: str, layer: str, person: str) -> int:
    """Decides which experiment of a layer, if any, a person is in; independent from layer to layer.

    >>> layer_bucket("shop", "ranking", "ann") == layer_bucket("shop", "ranking", "ann")
    True
    """
    return _bucket("layer", tenant, layer, person)


def variant_bucket(salt: str, person: str) -> int:
    """Decides which variant a person sees; independent of the layer's bucket and of other experiments' variants.

    Without a hash of its own, people of one variant would meet the same one of the next experiment on their buckets.
    """
    return _bucket("variant", salt, person)


def _bucket(*parts: str) -> int:
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BUCKETS
