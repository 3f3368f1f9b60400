"""What rows for learning say beyond who did what: what was shown, prices, devices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from services.profile.adapters.pseudonyms import Pseudonyms
from services.profile.ports import AttributedRequest, EventDetails
from shared.attribution.token import product_hash, read_stored

_NOWHERE: Mapping[bytes, int] = {}
_Shown = tuple[int, Mapping[bytes, int]]
"""Number of the request in its chunk, and the positions of what it showed."""


class Details:
    """Makes the columns of chunks of one stream; keeps the hashes of products."""

    def __init__(self, tenant: str, pseudonyms: Pseudonyms) -> None:
        self._tenant = tenant
        self._pseudonyms = pseudonyms
        self._hashes: dict[int, bytes] = {}

    def columns(self, batch: Sequence[tuple[Any, ...]], product_ids: Mapping[int, str]) -> EventDetails:
        """The columns of rows of ``stream_detailed_rows``."""
        requests: list[AttributedRequest] = []
        shown: dict[str, _Shown] = {"": (-1, _NOWHERE)}
        currencies: dict[str, int] = {}
        request_indexes: list[int] = []
        positions: list[int] = []
        prices: list[int] = []
        currency_indexes: list[int] = []
        devices: list[int] = []
        for _, _, _, products, quantities, own_prices, own_currencies, currency, revenue, device, token in batch:
            count = len(products)
            number, places = shown.get(token or "") or self._read(token, shown, requests)
            request_indexes.extend(repeat(number, count))
            positions.extend(self._positions(products, places, product_ids) if places else repeat(-1, count))
            event_prices = unit_prices(quantities, own_prices, None if own_currencies else revenue)
            prices.extend(event_prices)
            names = own_currencies or repeat(currency or "", count)
            currency_indexes.extend(_numbers(names, event_prices, currencies))
            devices.extend(repeat(device or 0, count))
        return EventDetails(requests, request_indexes, positions, prices, list(currencies), currency_indexes, devices)

    def _read(self, token: str, shown: dict[str, _Shown], requests: list[AttributedRequest]) -> _Shown:
        """What a token that the chunk did not have yet says; remembers it."""
        said = read_stored(token)
        if said is None or said.tenant != self._tenant:
            shown[token] = shown[""]
        else:
            shown[token] = (len(requests), said.positions())
            key = self._pseudonyms.of_token(token)
            requests.append(AttributedRequest(key, said.release_id, said.list_kind, said.time_s, said.exposures))
        return shown[token]

    def _positions(
        self, products: Sequence[int], places: Mapping[bytes, int], product_ids: Mapping[int, str]
    ) -> Iterable[int]:
        for product in products:
            digest = self._hashes.get(product)
            if digest is None:
                digest = self._hashes[product] = product_hash(product_ids[product])
            yield places.get(digest, -1)


def unit_prices(quantities: Sequence[int], prices: Sequence[int | None] | None, revenue: int | None) -> Sequence[int]:
    """Millionths by product; those without a price share, by units, what the priced ones leave of the revenue.

    -1 where there is neither a price nor a revenue.
    """
    if prices is not None and None not in prices:
        return prices  # type: ignore[return-value]
    known = prices if prices is not None else [None] * len(quantities)
    if revenue is None:
        return [-1 if price is None else price for price in known]
    units = [quantity or 1 for quantity in quantities]
    priced = sum(price * count for price, count in zip(known, units, strict=True) if price is not None)
    open_units = sum(count for price, count in zip(known, units, strict=True) if price is None)
    share = max(revenue - priced, 0) // open_units
    return [share if price is None else price for price in known]


def _numbers(names: Iterable[str], prices: Sequence[int], known: dict[str, int]) -> Iterable[int]:
    """The number of each currency; -1 where the price is not known."""
    for name, price in zip(names, prices, strict=False):
        yield -1 if price < 0 or not name else known.setdefault(name, len(known))
