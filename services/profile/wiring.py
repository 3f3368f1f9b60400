"""Builds the profile service; the only place that names concrete classes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from mercato.privacy.v1 import (
    erasure_register_service_pb2,
    erasure_register_service_pb2_grpc,
    personal_data_service_pb2,
    personal_data_service_pb2_grpc,
    personal_keys_service_pb2,
    personal_keys_service_pb2_grpc,
)
from mercato.profile.v1 import profile_service_pb2, profile_service_pb2_grpc

from services.profile.adapters.batch import BatchParts
from services.profile.adapters.catalog import GrpcCatalog
from services.profile.adapters.combined_events import CombinedEventStore
from services.profile.adapters.event_stream import PostgresEventStream
from services.profile.adapters.person_keys import PersonKeys
from services.profile.adapters.postgres import Pool
from services.profile.adapters.postgres_events import PostgresEventStore
from services.profile.adapters.postgres_facts import PostgresFactsStore
from services.profile.adapters.postgres_people import PostgresPeopleReader
from services.profile.adapters.postgres_privacy import PostgresPrivacyStore
from services.profile.adapters.postgres_register import PostgresErasureRegister, RegisterKeys
from services.profile.adapters.postgres_retention import PostgresRetentionStore
from services.profile.adapters.postgres_sealing import PostgresSealing
from services.profile.adapters.product_book import ProductBook
from services.profile.adapters.product_numbers import Partitions, ProductNumbers
from services.profile.adapters.pseudonyms import load_pseudonym_key
from services.profile.adapters.sealed_ids import SealedIds
from services.profile.adapters.tombstones import Tombstones
from services.profile.erasures import Erasures
from services.profile.feature_cache import FeatureCache
from services.profile.get_features import GetFeatures
from services.profile.get_profile import GetProfile
from services.profile.privacy import EraseUser, ExportUser
from services.profile.refresh_facts import RefreshFacts
from services.profile.retention import ApplyRetention
from services.profile.sealing import Sealing
from services.profile.servicer import ProfileServicer, UseCases
from services.profile.servicers.personal_data import PersonalDataServicer, PersonalDataUseCases
from services.profile.servicers.personal_keys import PersonalKeysServicer
from services.profile.servicers.register import RegisterServicer
from services.profile.settings import ProfileSettings
from services.profile.write_events import WriteEvents
from shared.client.channel import channel_check, open_channel
from shared.keys.kept_key import kept_key
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool, pool_check
from shared.privacy.key_ring import KeyRing
from shared.privacy.receipt import ReceiptSigner
from shared.server.parts import ServiceParts, Servicer


def now_us() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1_000


@dataclass(frozen=True, slots=True)
class Keys:
    """Everything that ids and contents are hashed, sealed and renamed with."""

    pseudonyms: bytes
    ring: KeyRing
    ids: SealedIds
    people: PersonKeys


def keys_of(settings: ProfileSettings) -> Keys:
    """The keys that are configured, else kept in the data folder."""
    configured = settings.pseudonym_key.get_secret_value() if settings.pseudonym_key else ""
    ring = KeyRing(settings.personal_keys_file)
    return Keys(load_pseudonym_key(configured, settings.data), ring, SealedIds(ring), PersonKeys(ring))


def use_cases(settings: ProfileSettings, pool: Pool, keys: Keys, cache: FeatureCache) -> UseCases:
    """The use cases on PostgreSQL."""
    numbers = ProductNumbers(pool, settings.product_cache_size)
    people = PostgresPeopleReader(pool, ProductBook(settings.product_cache_size), keys.ids, keys.people)
    parts = BatchParts(settings.robot_rules, keys.ids, keys.people, Tombstones(keys.ids))
    store = CombinedEventStore(PostgresEventStore(pool, numbers, Partitions(pool), parts))
    privacy = PostgresPrivacyStore(pool, keys.ids, keys.people)
    return UseCases(
        write_events=WriteEvents(store, settings.time_limits, now_us),
        get_profile=GetProfile(people, settings.history_limits, now_us),
        get_features=GetFeatures(people, cache, settings.history_limits, now_us),
        export_user=ExportUser(privacy),
        erase_user=EraseUser(privacy, cache),
        event_stream=PostgresEventStream(pool, keys.pseudonyms),
        event_store=store,
    )


@asynccontextmanager
async def build(settings: ProfileSettings) -> AsyncIterator[ServiceParts]:
    """The service, ready to be served; its schema is up to date."""
    keys = keys_of(settings)
    async with (
        open_pool(
            settings.postgres_dsn,
            min_size=settings.pool_min_size,
            max_size=settings.pool_max_size,
            application_name="mercato-profile",
        ) as pool,
        open_channel(settings.catalog_address, service="catalog") as channel,
    ):
        await migrate(pool, "services.profile.migrations")
        cache = FeatureCache(settings.feature_cache_rows)
        cases = use_cases(settings, pool, keys, cache)
        sealing = Sealing(
            PostgresSealing(pool, keys.ring, keys.ids, keys.people), keys.ring, settings.rotate_keys_hours
        )
        await sealing.prepare()
        retention = ApplyRetention(
            PostgresRetentionStore(pool), settings.retention_days, settings.retention_every_seconds
        )
        register = PostgresErasureRegister(
            pool, RegisterKeys(keys.ring, keys.ids, keys.pseudonyms), Tombstones(keys.ids), settings.tombstone_days
        )
        facts = RefreshFacts(
            PostgresFactsStore(pool, settings.facts_refresh_seconds),
            GrpcCatalog(channel),
            settings.facts_interval_seconds,
        )
        yield ServiceParts(
            name="profile",
            servicers=(
                Servicer(
                    profile_service_pb2.DESCRIPTOR.services_by_name["ProfileService"],
                    profile_service_pb2_grpc.add_ProfileServiceServicer_to_server,
                    ProfileServicer(cases),
                ),
                Servicer(
                    personal_keys_service_pb2.DESCRIPTOR.services_by_name["PersonalKeysService"],
                    personal_keys_service_pb2_grpc.add_PersonalKeysServiceServicer_to_server,
                    PersonalKeysServicer(sealing),
                ),
                *_privacy_servicers(cases, retention, Erasures(register, ReceiptSigner(_receipt_seed(settings)))),
            ),
            dependencies={"postgres": pool_check(pool), "catalog": channel_check(channel, "catalog")},
            critical=frozenset({"postgres"}),
            background=(facts.run, partial(cache.keep_young, now_us), retention.run, sealing.run, sealing.refresh),
        )


def _privacy_servicers(cases: UseCases, retention: ApplyRetention, erasures: Erasures) -> tuple[Servicer, ...]:
    own = PersonalDataServicer(PersonalDataUseCases(cases.erase_user, cases.get_profile, retention))
    return (
        Servicer(
            personal_data_service_pb2.DESCRIPTOR.services_by_name["PersonalDataService"],
            personal_data_service_pb2_grpc.add_PersonalDataServiceServicer_to_server,
            own,
        ),
        Servicer(
            erasure_register_service_pb2.DESCRIPTOR.services_by_name["ErasureRegisterService"],
            erasure_register_service_pb2_grpc.add_ErasureRegisterServiceServicer_to_server,
            RegisterServicer(erasures),
        ),
    )


def _receipt_seed(settings: ProfileSettings) -> bytes:
    configured = settings.receipt_key.get_secret_value() if settings.receipt_key else ""
    return bytes.fromhex(configured) if configured else kept_key(settings.data, "receipts")
