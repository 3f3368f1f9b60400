"""How processes keep connections to each other: one set of settings for both ends, so that they cannot contradict.

Read from ``MERCATO_CONNECTION_…``, the same in every process. Made for Kubernetes: pods come and go behind a headless
service, and load balancers drop what is idle.
"""

from __future__ import annotations

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ConnectionSettings(BaseSettings):
    """Keep-alive, age, retries and hedging of connections between services."""

    model_config = SettingsConfigDict(
        env_prefix="MERCATO_CONNECTION_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    keepalive_seconds: float = Field(20.0, ge=1)
    """A client pings a connection on which nothing came for so long; below the idle limit of what lies between."""
    keepalive_timeout_seconds: float = Field(5.0, gt=0)
    """A ping that is not answered within this time ends the connection."""
    least_ping_seconds: float = Field(10.0, ge=0)
    """A server ends the connection of a client that pings more often (GOAWAY ``too_many_pings``)."""
    max_age_seconds: float = Field(300.0, ge=0)
    """A server asks clients to connect anew after about this time (a tenth more or less), so that they find new
    replicas; 0: never. Calls go on; the new connection is made beside the old one."""
    max_age_grace_seconds: float = Field(3600.0, ge=0)
    """Calls that still run so long after that are cut off: more than the longest import or training."""
    max_connection_streams: int = Field(1000, ge=0)
    """Calls open at once on one connection; a client's further calls wait at the client. 0: any number."""
    least_resolve_seconds: float = Field(2.0, gt=0)
    """Names are looked up at most so often when a replica was lost."""
    retry_attempts: int = Field(3, ge=1)
    """Attempts in total of an idempotent call whose replica was not reached."""
    retry_tokens: float = Field(64.0, ge=0)
    """Retries in a row before the budget is empty: more than the calls that one replica takes with it when it ends."""
    retry_share: float = Field(0.1, ge=0, le=1)
    """Retries that may be made for each call that succeeds."""
    hedge_share: float = Field(0.02, ge=0, le=0.5)
    """Second requests that may be made for each read that seems stuck, where there are several replicas; 0: none."""
    eject_seconds: float = Field(5.0, ge=0)
    """A replica that fails nearly all its calls while others do not is left alone so long, then longer; 0: never."""

    @model_validator(mode="after")
    def _pings_are_welcome(self) -> ConnectionSettings:
        if self.least_ping_seconds > self.keepalive_seconds / 2:
            raise ValueError(
                f"least_ping_seconds ({self.least_ping_seconds:g}) must be at most half of keepalive_seconds"
                f" ({self.keepalive_seconds:g}): servers would end connections for too many pings"
            )
        return self
