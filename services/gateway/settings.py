"""What the gateway is configured with."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from services.gateway.access.scopes import NAMES, Scope, unknown
from services.gateway.access.tokens import ASYMMETRIC
from services.gateway.limits.quota import Quota
from services.gateway.limits.quotas import Defaults
from shared.context.request import is_tenant
from shared.settings.base import ServiceSettings, address_field, data_field, postgres_dsn_field, service_config
from shared.tls.files import CertificateFiles
from shared.tls.server import ServerTls


class GatewaySettings(ServiceSettings):
    """Read from `MERCATO_GATEWAY_…`."""

    model_config = service_config("gateway")

    catalog_address: str = address_field("catalog")
    profile_address: str = address_field("profile")
    encoder_address: str = address_field("encoder")
    retrieval_address: str = address_field("retrieval")
    ranking_address: str = address_field("ranking")
    support_address: str = address_field("support")
    trainer_address: str = address_field("trainer")
    data: Path = data_field()

    adaptive_limit: bool = True
    """As in every service, but on: what is refused is refused here, before any other service has worked on it."""
    recommend_seconds: float = Field(2.0, gt=0)
    """Time for a recommendation; less when the caller's deadline is shorter. The stages share it."""
    search_seconds: float = Field(3.0, gt=0)
    """Time for a page of search results."""
    token_key: str = Field("", repr=False)
    """Secret of attribution tokens, the same in every gateway process. Empty: made once and kept in `<data>/keys`."""
    postgres_dsn: str = postgres_dsn_field()
    api_keys: Path | None = None
    """File of API keys of earlier releases, whose keys are taken over; default `<data>/keys/api_keys.json`."""
    require_authentication: bool = False
    """Whether callers must say who they are also while there is no key. Without it a gateway is open as long as there
    was never a key, no token issuer is set, and it listens on the loopback alone."""
    jwt_issuer: str = ""
    """The `iss` of accepted tokens (JWT). Empty: only API keys are accepted."""
    jwt_audiences: tuple[str, ...] = ()
    """Accepted `aud`, one of which a token must name."""
    jwt_keys_url: str = ""
    """Where the issuer publishes its keys (JWKS): https, or http on the loopback."""
    jwt_algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    """Accepted signatures; asymmetric ones only."""
    jwt_skew_seconds: float = Field(30.0, ge=0, le=300)
    """How far the issuer's clock may be from ours."""
    jwt_tenant_claim: str = Field("tenant", min_length=1)
    """Claim that names the tenant; dots lead into objects."""
    jwt_default_tenant: str = ""
    """Tenant of tokens without that claim. Empty: they are refused."""
    jwt_scope_claim: str = Field("scope", min_length=1)
    """Claim with the scopes, a list or a text with spaces, such as `scope` or `realm_access.roles`."""
    jwt_scopes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Scopes for each value of that claim, as JSON. Empty: the values are scopes by our names."""
    jwt_keys_fresh_seconds: float = Field(300.0, gt=0)
    """How long the issuer's keys are used before they are read again. Unknown key ids: a read every 10 s at most."""
    public_certificate: Path | None = None
    """Certificate chain that customers' programs see, PEM. Empty: plain text, for the loopback or behind a proxy that
    ends TLS. Calls to the other services are secured by MERCATO_TLS_… whatever stands here."""
    public_key: Path | None = None
    """Its private key, PEM."""
    public_client_ca: Path | None = None
    """Issuers of certificates that callers must show, PEM. Empty: callers need none."""
    keys_poll_seconds: float = Field(1.0, gt=0)
    """Longest time until a key that was revoked through another gateway ends in this one; new keys count at once."""
    keys_outage_seconds: float = Field(900.0, ge=0)
    """How long known keys are trusted while the database is away; then calls with keys get UNAVAILABLE."""
    quota_tenant_per_second: float = Field(0.0, ge=0)
    """Tokens a second of one tenant in all gateways together; a light call costs one. 0: no limit. Others for single
    tenants and keys: `python -m services.gateway.quota`."""
    quota_key_per_second: float = Field(0.0, ge=0)
    """Likewise of one API key or token."""
    quota_burst_seconds: float = Field(2.0, ge=0.2)
    """How many seconds' tokens can be saved up."""
    quota_key_at_once: int = Field(0, ge=0)
    """Calls of one API key or token at once in one gateway, streams included; 0: no limit."""
    quota_tenant_at_once: int = Field(0, ge=0)
    """Likewise of one tenant."""
    quota_prices: dict[Scope, float] = Field(
        default_factory=lambda: {Scope.RECOMMEND: 2.0, Scope.SEARCH: 2.0, Scope.ASK: 5.0}
    )
    """Tokens of a call by the scope that it needs (JSON in the environment); others cost 1."""
    quota_item_price: float = Field(0.01, ge=0)
    """Tokens of each product, event, document or offer that a call carries."""
    quota_poll_seconds: float = Field(5.0, gt=0)
    """Longest time until a change of a tenant's or key's quota counts."""
    remembered_products: int = Field(20_000, ge=0)
    """Products kept in memory for answers while the catalogue is down."""
    remembered_products_seconds: float = Field(86_400.0, gt=0)
    """Older ones are shown by their ids alone: their prices may be wrong."""
    remembered_profiles_mib: float = Field(32.0, ge=0)
    """Memory for what is known of the people who came last, for answers while the profile service is down."""
    remembered_profiles_seconds: float = Field(900.0, gt=0)
    """What is known of a person is forgotten after this, also when they are erased in another gateway."""

    @model_validator(mode="after")
    def _tokens_are_whole(self) -> Self:
        """An issuer needs audience and keys; keys that anybody on the way could replace are none."""
        if not self.jwt_issuer:
            return self
        if not self.jwt_audiences or not self.jwt_keys_url:
            raise ValueError("jwt_issuer needs jwt_audiences and jwt_keys_url")
        url = urlsplit(self.jwt_keys_url)
        if url.scheme != "https" and (url.scheme != "http" or url.hostname not in ("127.0.0.1", "::1", "localhost")):
            raise ValueError("jwt_keys_url must be https, or http on the loopback")
        if wrong := sorted(set(self.jwt_algorithms) - ASYMMETRIC):
            raise ValueError(f"jwt_algorithms: {wrong} are not accepted; there are {sorted(ASYMMETRIC)}")
        if wrong := unknown(name for names in self.jwt_scopes.values() for name in names):
            raise ValueError(f"jwt_scopes: {wrong} are no scopes; there are {list(NAMES)}")
        if self.jwt_default_tenant and not is_tenant(self.jwt_default_tenant):
            raise ValueError("jwt_default_tenant is not a tenant id")
        return self

    def server_tls(self) -> ServerTls | None:
        """TLS of the public port, by files of its own."""
        if self.public_certificate is None or self.public_key is None:
            return None
        files = CertificateFiles(self.public_certificate, self.public_key, self.public_client_ca)
        return ServerTls(files, client_certificates=self.public_client_ca is not None)

    @model_validator(mode="after")
    def _certificate_is_whole(self) -> Self:
        """Half of TLS must not end as plain text."""
        if (self.public_certificate is None) != (self.public_key is None) or (
            self.public_client_ca is not None and self.public_certificate is None
        ):
            raise ValueError("public_certificate and public_key are needed together, public_client_ca beside them")
        return self

    @property
    def loopback_only(self) -> bool:
        """Whether only programs of this machine can call."""
        host = self.listen.rpartition(":")[0].strip("[]")
        return self.listen.startswith("unix:") or host in ("localhost", "::1") or host.startswith("127.")

    @property
    def quota_defaults(self) -> Defaults:
        """Quotas of callers for which nothing else is stored."""
        seconds = self.quota_burst_seconds
        tenant, key = self.quota_tenant_per_second, self.quota_key_per_second
        return Defaults(
            tenant=Quota(tenant, max(tenant * seconds, 1.0), self.quota_tenant_at_once),
            caller=Quota(key, max(key * seconds, 1.0), self.quota_key_at_once),
        )

    @property
    def api_keys_file(self) -> Path:
        """The file in use."""
        return self.api_keys or self.data / "keys" / "api_keys.json"
