"""Features and profiles to messages."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from google.type.money_pb2 import Money
from mercato.gateway.v1 import user_profile_pb2
from mercato.profile.v1 import profile_features_pb2

from services.profile.converters.money import MICROS, money_of, timestamp_of
from services.profile.domain.affinities import Affinities, Affinity
from services.profile.domain.event import SECOND_US
from services.profile.domain.features import Features, Interaction
from services.profile.domain.profile import Profile
from services.profile.domain.purchases import PurchaseColumns, PurchaseSummary, RepeatInterval
from services.profile.domain.sessions import Session

_made: WeakKeyDictionary[Features, profile_features_pb2.ProfileFeatures] = WeakKeyDictionary()
"""Messages of features that the cache still holds: filling one takes longer than all else of a cached answer."""


def features_message(features: Features) -> profile_features_pb2.ProfileFeatures:
    """One person's features; the caller must not change them."""
    message = _made.get(features)
    if message is None:
        message = _made[features] = _features_message(features)
    return message


def _features_message(features: Features) -> profile_features_pb2.ProfileFeatures:
    if not features.known:
        return profile_features_pb2.ProfileFeatures()
    return profile_features_pb2.ProfileFeatures(
        known=True,
        purchases=_purchases(features.purchases),
        recent=profile_features_pb2.RecentInteractions(
            product_ids=[item.product_id for item in features.recent],
            event_types=[item.event_type for item in features.recent],  # type: ignore[misc]  # open enum
            event_times_s=[item.time_us // SECOND_US for item in features.recent],
        ),
    )


def profile_message(profile: Profile) -> user_profile_pb2.UserProfile:
    """One person's profile."""
    message = user_profile_pb2.UserProfile(
        user_id=profile.person.user_id,
        visitor_ids=profile.visitor_ids,
        categories=_affinities(profile.affinities.categories),
        brands=_affinities(profile.affinities.brands),
        price_bands=price_band_messages(profile.affinities),
        rhythm=user_profile_pb2.Rhythm(hours=profile.rhythm.hours, weekdays=profile.rhythm.weekdays),
        repeat_intervals=map(_repeat_interval, profile.repeat_intervals),
        recent=map(_interaction, profile.recent),
        event_count=profile.person.event_count,
        last_event_time=timestamp_of(profile.person.last_event_time_us),
    )
    if profile.session:
        message.session.CopyFrom(_session(profile.session))
    if profile.purchases:
        message.purchases.CopyFrom(_summary(profile.purchases))
    return message


def _purchases(columns: PurchaseColumns) -> profile_features_pb2.PurchaseHistory:
    names: dict[str, int] = {}
    indexes = [names.setdefault(product.category, len(names)) for product in columns.products]
    return profile_features_pb2.PurchaseHistory(
        product_ids=[product.product_id for product in columns.products],
        category_names=names,
        category_indexes=indexes,
        product_indexes=columns.product_indexes,
        purchase_times_s=columns.times_s,
        basket_indexes=columns.basket_indexes,
    )


def _affinities(items: Iterable[Affinity]) -> list[user_profile_pb2.Affinity]:
    return [user_profile_pb2.Affinity(name=item.name, share=item.share, weight=item.weight) for item in items]


def price_band_messages(affinities: Affinities) -> list[user_profile_pb2.PriceBandAffinity]:
    """Price bands with the exact money they begin at."""
    return [
        user_profile_pb2.PriceBandAffinity(
            band=item.band,
            # 2^-9 units are 1,953.125 millionths: nanos hold what millionths do not.
            low=_power_of_two(item.band, affinities.currency),
            share=item.share,
        )
        for item in affinities.price_bands
    ]


def _power_of_two(band: int, currency: str) -> Money:
    """2^band as money, exact."""
    if band >= 0:
        return money_of(2**band * MICROS, currency)
    message = money_of(0, currency)
    message.nanos = 1_000_000_000 >> -band
    return message


def _interaction(item: Interaction) -> user_profile_pb2.Interaction:
    return user_profile_pb2.Interaction(
        product_id=item.product_id,
        event_type=item.event_type,  # type: ignore[arg-type]  # open enum
        event_time=timestamp_of(item.time_us),
        quantity=item.quantity,
    )


def _repeat_interval(item: RepeatInterval) -> user_profile_pb2.RepeatInterval:
    return user_profile_pb2.RepeatInterval(
        product_id=item.product_id,
        purchase_count=item.purchase_count,
        interval_days=item.interval_days,
        last_purchase_time=timestamp_of(item.last_us),
        expected_time=timestamp_of(item.expected_us),
    )


def _session(session: Session) -> user_profile_pb2.SessionState:
    return user_profile_pb2.SessionState(
        session_id=session.session_id,
        start_time=timestamp_of(session.start_us),
        event_count=session.event_count,
        viewed_product_ids=session.viewed,
        cart_product_ids=session.cart,
        last_search_query=session.last_search_query,
    )


def _summary(summary: PurchaseSummary) -> user_profile_pb2.PurchaseSummary:
    return user_profile_pb2.PurchaseSummary(
        order_count=summary.order_count,
        revenue=money_of(summary.revenue_micros, summary.currency),
        mean_order_value=money_of(summary.mean_order_micros, summary.currency),
        first_purchase_time=timestamp_of(summary.first_us),
        last_purchase_time=timestamp_of(summary.last_us),
        order_interval_days=summary.order_interval_days,
    )
