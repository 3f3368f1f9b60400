"""What retrieval is configured with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from shared.settings.base import ServiceSettings, address_field, milvus_uri_field, service_config


class RetrievalSettings(ServiceSettings):
    """Environment prefix `MERCATO_RETRIEVAL_`."""

    model_config = service_config("retrieval")

    milvus_uri: str = milvus_uri_field()
    trainer_address: str = address_field("trainer")
    encoder_address: str = address_field("encoder")

    milvus_token: SecretStr = SecretStr("")
    """`user:password` or a token of the Milvus server. Empty: none."""
    milvus_seconds: float = Field(10.0, gt=0)
    """Longest single read."""
    milvus_write_seconds: float = Field(60.0, gt=0)
    """Longest single write or change of a collection."""
    milvus_concurrency: int = Field(4, ge=1)
    """Searches sent to Milvus at once. Milvus Lite works on one core, so more only wait there."""
    milvus_queue: int = Field(64, ge=0)
    """Searches that may wait for their turn; one more fails at once."""

    dense_index: Literal["HNSW", "AUTOINDEX", "FLAT"] = "HNSW"
    """Vector index on a full server. Milvus Lite always compares with all vectors: its HNSW is short of results."""
    hnsw_m: int = Field(16, ge=2, le=2048)
    """Links a node of HNSW."""
    hnsw_ef_construction: int = Field(200, ge=8)
    """Breadth of search while HNSW is built."""
    hnsw_ef: int = Field(128, ge=1)
    """Breadth of search; raised to the number of results asked for."""

    vector_memory_bytes: int = Field(1024**3, ge=0)
    """An index whose vectors take more than this holds none in memory: 1 GiB is 700,000 of 384 dimensions."""
    vector_cache: int = Field(20_000, ge=0)
    """Vectors remembered of an index or release that holds none in memory; of each kind this many."""
    exact_scan_products: int = Field(50_000, ge=0)
    """Where a filter leaves at most this many products and vectors are in memory, all of them are compared here;
    otherwise Milvus searches, with the filter pushed down. 50,000 x 384 take 5 to 8 ms. 0: always Milvus. The channel
    BEHAVIOUR keeps to it too; its collections hold no facts, so more results are asked for and filtered here."""

    behaviour_seconds: float = Field(5.0, gt=0)
    """How often products are looked for that have no vector of a release's behaviour model yet."""
    behaviour_memory_bytes: int = Field(1024**3, ge=0)
    """A release whose product vectors take more than this holds none in memory once Milvus has them: 1 GiB is 4,000,000
    of 64 dimensions. Up to three releases are held. While a release is read, its vectors are in memory in any case."""
    content_seconds: float = Field(0.3, gt=0)
    """Longest time for a vector channel of candidates; then the others answer without it."""
    search_seconds: float = Field(2.0, gt=0)
    """Longest time for one channel of a search."""
    content_cache: int = Field(2_000, ge=0)
    """Answers of Milvus to the vector channel of candidates that are remembered."""
    content_cache_seconds: float = Field(30.0, ge=0)
    """How long. Deleted and unavailable products are left out of remembered answers as well."""
    new_days: int = Field(30, ge=1)
    """A product is new when the shop began to sell it at most this long before its newest product."""

    sync_seconds: float = Field(5.0, gt=0)
    """Pause between two looks at which indexes there are."""
    refresh_seconds: float = Field(0.0, ge=0)
    """Reads all facts again this often, for several replicas of this service on one Milvus. 0: never; the writes of
    this process keep them true."""
