"""Settings of the profile service; environment prefix ``MERCATO_PROFILE_``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from services.profile.domain.event import TimeLimits
from services.profile.domain.history import HistoryLimits
from services.profile.domain.robots import RobotRules
from shared.settings.base import ServiceSettings, address_field, data_field, postgres_dsn_field, service_config


class ProfileSettings(ServiceSettings):
    """What the profile service is configured with."""

    model_config = service_config("profile")

    postgres_dsn: str = postgres_dsn_field()
    catalog_address: str = address_field("catalog")
    data: Path = data_field()
    pool_min_size: int = Field(2, ge=1)
    """Connections kept open to PostgreSQL."""
    pool_max_size: int = Field(12, ge=1)
    """Most connections to PostgreSQL."""
    max_event_age_days: int = Field(760, ge=1)
    """An event older than this is refused. Raise it before importing older history."""
    max_event_ahead_seconds: int = Field(300, ge=0)
    """An event further ahead of the server's clock is refused."""
    robots_enabled: bool = True
    """Whether events that look like a robot's are put in quarantine."""
    robots_events_per_minute: int = Field(120, ge=1)
    """More events of one person within a minute of event time (impressions and purchases not counted) are a robot's."""
    robots_views_per_minute: int = Field(60, ge=1)
    """More product pages seen by one person within a minute of event time are a robot's."""
    robots_products_without_cart: int = Field(300, ge=1)
    """More distinct products seen within an hour with nothing put into the cart, wished for or bought are a robot's."""
    robots_suspect_minutes: int = Field(60, ge=0)
    """How long, by event time, a person stays suspect."""
    pseudonym_key: SecretStr | None = None
    """Key of the pseudonyms in ReadEvents, the same in every process; unset: made once and kept in `<data>/keys`."""
    personal_keys: Path | None = None
    """File of the keys of personal data; unset: made once as `<data>/keys/personal.json`. See docs/privacy.md."""
    rotate_keys_hours: float = Field(24.0, ge=0)
    """Keys older than this are rotated by themselves once somebody was erased since; 0: by command only."""
    receipt_key: SecretStr | None = None
    """Seed of the key that signs receipts (64 hexadecimal digits); unset: made once and kept in `<data>/keys`."""
    tombstone_days: int = Field(760, ge=1)
    """How long late events of an erased person are refused; as long as events may be old, none comes back ever."""
    keep_events_days: int = Field(1095, ge=0)
    """Events older than this are removed, and neither accepted; 0: kept without limit."""
    keep_quarantine_days: int = Field(90, ge=0)
    """Events that looked like a robot's are removed after this; 0: kept without limit."""
    keep_receipts_days: int = Field(1825, ge=0)
    """Receipts of erasures are removed after this; 0: kept without limit."""
    retention_every_seconds: float = Field(3600.0, gt=0)
    """Pause between two looks for what is too old."""
    history_purchases: int = Field(10_000, ge=1)
    """Newest purchases that a profile is made from."""
    history_others: int = Field(2_000, ge=1)
    """Newest other events that profiles and features are made from."""
    feature_cache_rows: int = Field(500_000, ge=0)
    """Rows of cached features (about 100 bytes each); 0: no cache."""
    product_cache_size: int = Field(200_000, ge=1_000)
    """Products kept in memory (about 500 bytes each)."""
    facts_refresh_seconds: int = Field(3_600, ge=1)
    """Age above which the catalogue is asked again for a product's category, brand and price."""
    facts_interval_seconds: float = Field(1.0, gt=0)
    """Pause between two looks for products to ask for."""

    @property
    def time_limits(self) -> TimeLimits:
        """Limits of event times: what would be removed at once is not accepted."""
        oldest = min(self.max_event_age_days, self.keep_events_days or self.max_event_age_days)
        return TimeLimits(oldest, self.max_event_ahead_seconds)

    @property
    def retention_days(self) -> dict[str, int]:
        """Rules by kind."""
        return {
            "events": self.keep_events_days,
            "people": self.keep_events_days,
            "quarantine": self.keep_quarantine_days,
            "receipts": self.keep_receipts_days,
            "tombstones": self.tombstone_days,
        }

    @property
    def personal_keys_file(self) -> Path:
        """The file in use."""
        return self.personal_keys or self.data / "keys" / "personal.json"

    @property
    def robot_rules(self) -> RobotRules:
        """Rules that tell robots from customers."""
        return RobotRules(
            enabled=self.robots_enabled,
            events_per_minute=self.robots_events_per_minute,
            views_per_minute=self.robots_views_per_minute,
            products_without_cart=self.robots_products_without_cart,
            suspect_minutes=self.robots_suspect_minutes,
        )

    @property
    def history_limits(self) -> HistoryLimits:
        """How much of a person's past is read."""
        return HistoryLimits(purchases=self.history_purchases, others=self.history_others)
