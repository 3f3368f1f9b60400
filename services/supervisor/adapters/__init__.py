"""One outside system each: processes, PostgreSQL, Triton, Milvus Lite, the data folder."""
