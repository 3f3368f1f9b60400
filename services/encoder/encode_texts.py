"""Vectors of texts: from the cache, from work in progress, or from the model."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.encoder.domain import Encoded, ModelRelease, batches, content_key
from services.encoder.flights import Deliver, Flights
from services.encoder.ports import TextModel, TokenIds, Tokenizer, VectorCache
from shared.telemetry.metrics import QUEUE_SECONDS, CacheMeter, counter

TEXTS = counter("encoder_texts_total", "Different texts of requests, by where their vector came from.", ("source",))
LOOKUPS = CacheMeter("text_vectors")
TOKENS = counter("encoder_tokens_total", "Tokens sent to the model, without padding.")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How requests to the model are cut and how many run at once. Meanings: ``EncoderSettings``."""

    batch_texts: int = 16
    batch_tokens: int = 512
    bulk_in_flight: int = 3
    interactive_texts: int = 8


class EncodeTexts:
    """Each text is tokenised and encoded at most once while its vector is remembered or in work.

    Calls with few new texts go before the bulk: they wait for the end of a request to Triton, never for a queue.
    """

    def __init__(self, tokenizer: Tokenizer, model: TextModel, cache: VectorCache, limits: Limits) -> None:
        self._tokenizer = tokenizer
        self._model = model
        self._cache = cache
        self._limits = limits
        self._bulk = asyncio.Semaphore(limits.bulk_in_flight)
        self._flights = Flights(self._encode)

    @property
    def release(self) -> ModelRelease:
        """The model that answers."""
        return self._model.release

    async def __call__(self, texts: Sequence[str]) -> Encoded:
        """Raises what ``TextModel.encode`` raises; then no vector is returned, but those made are remembered."""
        release = self._model.release
        keys = [content_key(release.release_id, text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        known = await self._cache.get_many(list(wanted))
        TEXTS.labels("cache").inc(len(known))
        LOOKUPS.count(hits=len(known), misses=len(wanted) - len(known))
        if missing := {key: text for key, text in wanted.items() if key not in known}:
            known |= await self._flights.vectors(missing)
        return Encoded([known[key] for key in keys], release)

    async def _encode(self, texts: Mapping[bytes, str], deliver: Deliver) -> None:
        keys = list(texts)
        token_ids = await self._tokenizer.token_ids(list(texts.values()))
        groups = batches(
            [len(ids) for ids in token_ids], texts=self._limits.batch_texts, tokens=self._limits.batch_tokens
        )
        interactive = len(keys) <= self._limits.interactive_texts
        try:
            async with asyncio.TaskGroup() as tasks:
                for group in groups:
                    batch = {keys[index]: token_ids[index] for index in group}
                    tasks.create_task(self._encode_batch(batch, deliver, interactive=interactive))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _encode_batch(self, batch: Mapping[bytes, TokenIds], deliver: Deliver, *, interactive: bool) -> None:
        if interactive:
            vectors = await self._model.encode(list(batch.values()), urgent=True)
        else:
            began = time.perf_counter()
            async with self._bulk:
                QUEUE_SECONDS.labels("encoder_bulk").observe(time.perf_counter() - began)
                vectors = await self._model.encode(list(batch.values()), urgent=False)
        rows = np.ascontiguousarray(vectors, dtype="<f4")
        made = {key: row.tobytes() for key, row in zip(batch, rows, strict=True)}
        TEXTS.labels("model").inc(len(made))
        TOKENS.inc(sum(map(len, batch.values())))
        await self._cache.put_many(made)
        for key, vector in made.items():
            deliver(key, vector)
