"""The vector index by itself, and how much of a request it takes."""

from __future__ import annotations

import re
import time
import urllib.request

import numpy as np
from pymilvus import MilvusClient

SEARCHES, LIMIT = 60, 200
_SAMPLE = re.compile(r"^mercato_retrieval_milvus_seconds_(sum|count)\{[^}]*\} (\S+)$", re.MULTILINE)


def bare_search_ms(uri: str, alias: str) -> tuple[float, float]:
    """p50 and p99 of a search for the nearest 200 vectors, straight to Milvus, one at a time, in milliseconds."""
    client = MilvusClient(uri=uri)
    fields = client.describe_collection(alias)["fields"]
    vector = next(field for field in fields if field["params"].get("dim"))
    random = np.random.default_rng(84)
    times = []
    for number in range(SEARCHES + 5):
        query = random.normal(size=int(vector["params"]["dim"]))
        query /= np.linalg.norm(query)
        began = time.perf_counter()
        client.search(alias, [query.tolist()], anns_field=vector["name"], limit=LIMIT, output_fields=[])
        if number >= 5:
            times.append((time.perf_counter() - began) * 1000)
    client.close()
    return float(np.percentile(times, 50)), float(np.percentile(times, 99))


def milvus_seconds(metrics_port: int) -> float:
    """Seconds that retrieval has waited for Milvus since it started; 0 where its metrics cannot be read."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return 0.0
    return sum(float(value) for kind, value in _SAMPLE.findall(text) if kind == "sum")
