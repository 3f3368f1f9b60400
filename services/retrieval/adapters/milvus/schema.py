"""Schemas of collections, and rows to and from products."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymilvus import CollectionSchema, DataType, Function, FunctionType, MilvusClient, MilvusException
from pymilvus.milvus_client import IndexParams

from services.retrieval.adapters.milvus.expressions import category_field
from services.retrieval.domain.facets import facets_from_fields, facets_to_fields
from services.retrieval.domain.product import CATEGORY_LEVELS, IndexedProduct, Passage, Product

VECTOR, WORDS, WORD_VECTOR = "vector", "keywords", "keyword_vector"
COSINE, INNER_PRODUCT = "COSINE", "IP"
LONGEST_TEXT = 65_535
"""Bytes that a text field of Milvus holds."""
_ID, _LABEL = 512, 2_048

FACT_FIELDS = [
    "id",
    "brand",
    "price_micros",
    "available",
    "publish_time_s",
    "change_number",
    *(category_field(level) for level in range(CATEGORY_LEVELS)),
    "$meta",
]


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How vectors are indexed on a full server; Milvus Lite always compares with all (FLAT)."""

    kind: str = "HNSW"
    m: int = 16
    ef_construction: int = 200
    ef: int = 128


def make_products(name: str, dimension: int, settings: IndexSettings, *, lite: bool) -> Callable[[MilvusClient], None]:
    """Makes a collection of products; without keywords where the server has no BM25."""
    return lambda client: _make(
        client, name, lambda words: _product_schema(dimension, words=words), settings, lite=lite
    )


def make_passages(name: str, dimension: int, settings: IndexSettings, *, lite: bool) -> Callable[[MilvusClient], None]:
    """Makes a collection of passages, as above."""
    return lambda client: _make(
        client, name, lambda words: _passage_schema(dimension, words=words), settings, lite=lite
    )


def make_vectors(name: str, dimension: int, settings: IndexSettings, *, lite: bool) -> Callable[[MilvusClient], None]:
    """Makes a collection of vectors compared by inner product, or what is missing of it."""

    def make(client: MilvusClient) -> None:
        if not client.has_collection(name):
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=_ID)
            schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dimension)
            client.create_collection(name, schema=schema, consistency_level="Strong")
        if not client.list_indexes(name):
            client.create_index(name, _vector_index(settings, INNER_PRODUCT, lite=lite))

    return make


def search_params(settings: IndexSettings, limit: int, *, lite: bool, metric: str = COSINE) -> dict[str, Any]:
    """Parameters of a search by vector."""
    ef = {"ef": max(settings.ef, limit)} if settings.kind == "HNSW" and not lite else {}
    return {"metric_type": metric, "params": ef}


def product_to_row(item: IndexedProduct, *, words: bool) -> dict[str, Any]:
    """Writes a product. Texts longer than their field are cut."""
    product = item.product
    row: dict[str, Any] = {
        "id": product.product_id,
        VECTOR: item.vector,
        "brand": clipped(product.brand, _LABEL),
        "price_micros": product.price_micros,
        "available": product.available,
        "publish_time_s": product.publish_time_s,
        "change_number": product.change_number,
        **facets_to_fields(product.facets),
    }
    for level in range(CATEGORY_LEVELS):
        path = product.category_path
        row[category_field(level)] = clipped(path[level], _LABEL) if level < len(path) else ""
    row[WORDS] = clipped(item.keywords, LONGEST_TEXT) if words else item.keywords[:1000]
    return row


def row_to_product(row: Mapping[str, Any]) -> IndexedProduct:
    """Reads a product."""
    levels = (row[category_field(level)] for level in range(CATEGORY_LEVELS))
    vector = row.get(VECTOR)
    product = Product(
        product_id=row["id"],
        category_path=tuple(level for level in levels if level),
        brand=row["brand"],
        price_micros=row["price_micros"],
        available=row["available"],
        publish_time_s=row["publish_time_s"],
        change_number=row["change_number"],
        facets=facets_from_fields(row),
    )
    return IndexedProduct(product, None if vector is None else np.array(vector, np.float32), row.get(WORDS, ""))


def passage_to_row(passage: Passage) -> dict[str, Any]:
    """Writes a passage."""
    return {
        "id": passage.passage_id,
        "document_id": passage.document_id,
        "revision": passage.revision,
        VECTOR: passage.vector,
        WORDS: clipped(passage.text, LONGEST_TEXT),
    }


def clipped(text: str, size: int) -> str:
    """The text, cut to a number of bytes between two characters."""
    content = text.encode()
    return text if len(content) <= size else content[:size].decode(errors="ignore")


def _make(
    client: MilvusClient,
    name: str,
    schema_of: Callable[[bool], CollectionSchema],
    settings: IndexSettings,
    *,
    lite: bool,
) -> None:
    indexes = _vector_index(settings, COSINE, lite=lite)
    plain = IndexParams(list(indexes))
    indexes.add_index(WORD_VECTOR, index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    try:
        client.create_collection(name, schema=schema_of(True), index_params=indexes, consistency_level="Strong")
    except MilvusException:
        if lite:
            raise
        # Servers before 2.5 know neither functions nor sparse vectors; what is wrong otherwise fails again.
        client.drop_collection(name)
        client.create_collection(name, schema=schema_of(False), index_params=plain, consistency_level="Strong")


def _vector_index(settings: IndexSettings, metric: str, *, lite: bool) -> IndexParams:
    indexes = IndexParams()
    params = {"M": settings.m, "efConstruction": settings.ef_construction} if settings.kind == "HNSW" else {}
    kind, params = ("FLAT", {}) if lite else (settings.kind, params)
    indexes.add_index(VECTOR, index_type=kind, metric_type=metric, params=params)
    return indexes


def _product_schema(dimension: int, *, words: bool) -> CollectionSchema:
    schema = _schema(dimension, words=words, dynamic=True)
    for level in range(CATEGORY_LEVELS):
        schema.add_field(category_field(level), DataType.VARCHAR, max_length=_LABEL)
    schema.add_field("brand", DataType.VARCHAR, max_length=_LABEL)
    for field in ("price_micros", "publish_time_s", "change_number"):
        schema.add_field(field, DataType.INT64)
    schema.add_field("available", DataType.BOOL)
    return schema


def _passage_schema(dimension: int, *, words: bool) -> CollectionSchema:
    schema = _schema(dimension, words=words, dynamic=False)
    schema.add_field("document_id", DataType.VARCHAR, max_length=_LABEL)
    schema.add_field("revision", DataType.VARCHAR, max_length=_LABEL)
    return schema


def _schema(dimension: int, *, words: bool, dynamic: bool) -> CollectionSchema:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=dynamic)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=_ID)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dimension)
    analyzed = {"enable_analyzer": True, "analyzer_params": {"tokenizer": "standard"}} if words else {}
    schema.add_field(WORDS, DataType.VARCHAR, max_length=LONGEST_TEXT, **analyzed)
    if words:
        schema.add_field(WORD_VECTOR, DataType.SPARSE_FLOAT_VECTOR)
        schema.add_function(
            Function(
                name="bm25",
                function_type=FunctionType.BM25,
                input_field_names=[WORDS],
                output_field_names=[WORD_VECTOR],
            )
        )
    return schema
