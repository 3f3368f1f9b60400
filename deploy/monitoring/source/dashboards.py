"""The dashboards: overview, one service, indexes, learning, Triton, stores."""

from __future__ import annotations

from deploy.monitoring.source.grafana import Dashboard, Panel, Row
from deploy.monitoring.source.objectives import RATIO, REMAINING
from deploy.monitoring.source.queries import gauges, latency, means, quantile, rate, rates, values

GATEWAY = 'method=~"/mercato.gateway.v1.*"'
FAULTS = 'code=~"UNKNOWN|DEADLINE_EXCEEDED|INTERNAL|UNAVAILABLE|DATA_LOSS"'
JOB = 'job=~"$job"'
CALLS, CALL_SECONDS = "mercato_server_calls_total", "mercato_server_call_seconds"
LOOKUPS, TASKS = "mercato_cache_lookups_total", f"mercato_background_restarts_total{{{JOB}}}[$__rate_interval]"
BUDGET = Panel("Error budget left", "percentunit", [(REMAINING, "{{slo}}")], "stat", "Of 28 days; below 0: spent.")

OVERVIEW = Dashboard(
    "mercato-overview",
    "Mercato / Overview",
    (
        Row("Objectives", (BUDGET, gauges("Bad share, last hour", "percentunit", f"{RATIO}1h", "slo"))),
        Row(
            "What callers see",
            (
                rates("Calls", f"{CALLS}{{{GATEWAY}}}", "method"),
                rates("Failed by our fault", f"{CALLS}{{{GATEWAY},{FAULTS}}}", "method, code"),
                gauges("99th percentile", "s", quantile(0.99, CALL_SECONDS, GATEWAY, "method"), "method"),
            ),
        ),
        Row(
            "Degradation",
            (
                rates("Stages left out", "mercato_gateway_missing_stages_total", "stage"),
                latency("Stages", "mercato_gateway_stage_seconds", "", "stage"),
                rates("Refused: too much to do", "mercato_server_shed_total", "job, priority"),
            ),
        ),
        Row(
            "Health",
            (
                gauges("Dependencies", "short", "min by (job, dependency) (mercato_dependency_up)", "job, dependency"),
                gauges("Release in use", "short", "sum by (job, release) (mercato_release_info)", "job, release"),
                gauges("Memory", "bytes", "sum by (job) (process_resident_memory_bytes)", "job"),
            ),
        ),
    ),
)

SERVICE = Dashboard(
    "mercato-service",
    "Mercato / Service",
    (
        Row(
            "Rate, errors, duration",
            (
                rates("Calls", f"{CALLS}{{{JOB}}}", "method"),
                rates("Not OK", f'{CALLS}{{{JOB},code!="OK"}}', "method, code"),
                latency("Duration", CALL_SECONDS, JOB, "method"),
            ),
        ),
        Row(
            "Waiting",
            (
                gauges("In flight", "short", f"sum by (job) (mercato_server_calls_in_flight{{{JOB}}})", "job"),
                values(
                    "Places",
                    "short",
                    (f"sum by (job) (mercato_server_places_taken{{{JOB}}})", "taken {{job}}"),
                    (f"sum by (job) (mercato_server_concurrency_limit{{{JOB}}})", "limit {{job}}"),
                ),
                latency("Queues", "mercato_queue_seconds", JOB, "job, queue"),
            ),
        ),
        Row(
            "Calls of others",
            (
                rates("Not OK", f'mercato_client_calls_total{{{JOB},code!="OK"}}', "peer, code"),
                rates("Made again", f"mercato_client_retries_total{{{JOB}}}", "peer"),
                gauges(
                    "Breakers open", "short", f"max by (job, peer) (mercato_client_breaker_open{{{JOB}}})", "job, peer"
                ),
            ),
        ),
        Row(
            "Process",
            (
                rates("CPU", f"process_cpu_seconds_total{{{JOB}}}", "instance"),
                gauges("Memory", "bytes", f"process_resident_memory_bytes{{{JOB}}}", "instance"),
                means("Cache hits", "percentunit", f'{LOOKUPS}{{{JOB},outcome="hit"}}', f"{LOOKUPS}{{{JOB}}}", "cache"),
                gauges("Background tasks that failed", "short", f"sum by (task) (increase({TASKS}))", "task"),
            ),
        ),
    ),
    (("job", "mercato_server_calls_in_flight"),),
)

INDEXES = Dashboard(
    "mercato-indexes",
    "Mercato / Retrieval and indexes",
    (
        Row(
            "Freshness",
            (
                gauges("Changes that wait", "short", "max by (outbox) (mercato_outbox_changes)", "outbox"),
                gauges("Oldest change that waits", "s", "max by (outbox) (mercato_outbox_oldest_seconds)", "outbox"),
                latency("From change to index", "mercato_outbox_lag_seconds", "", "outbox"),
                values(
                    "Indexed",
                    "reqps",
                    (rate("mercato_catalog_indexed_products_total", "kind"), "{{kind}}"),
                    (rate("mercato_catalog_index_failures_total", "reason"), "failed {{reason}}"),
                ),
            ),
        ),
        Row(
            "Channels",
            (
                latency("Duration", "mercato_retrieval_channel_seconds", "", "channel"),
                rates("Failed", "mercato_retrieval_channel_failures_total", "channel"),
                gauges("Products", "short", quantile(0.5, "mercato_retrieval_channel_size", "", "channel"), "channel"),
                rates("What answered the behaviour channel", "mercato_retrieval_behaviour_answers_total", "by"),
            ),
        ),
        Row(
            "Memory",
            (
                values("Products", "short", ("max(mercato_retrieval_products)", "products")),
                values(
                    "Vectors",
                    "bytes",
                    ("max(mercato_retrieval_vector_bytes)", "texts"),
                    ("max(mercato_retrieval_behaviour_bytes)", "behaviour"),
                ),
                values("Not in Milvus", "short", ("max(mercato_retrieval_behaviour_unstored)", "behaviour vectors")),
            ),
        ),
    ),
)

LEARNING = Dashboard(
    "mercato-learning",
    "Mercato / Learning loop",
    (
        Row(
            "Events",
            (
                rates("Stored", "mercato_profile_events_total", "outcome"),
                latency("From event to features", "mercato_profile_event_lag_seconds", "", ""),
                rates("Answered", "mercato_gateway_events_total", "outcome"),
            ),
        ),
        Row(
            "Trainings",
            (
                gauges(
                    "Ended, last day",
                    "short",
                    "sum by (kind, outcome) (increase(mercato_trainer_trainings_total[1d]))",
                    "kind, outcome",
                ),
                gauges("Duration", "s", quantile(0.5, "mercato_trainer_training_seconds", "", "kind"), "kind"),
                values(
                    "Age of the oldest release",
                    "s",
                    ("time() - max(mercato_trainer_release_timestamp_seconds > 0)", "made"),
                    ("time() - max(mercato_trainer_data_timestamp_seconds > 0)", "data"),
                ),
                values("Drift (.25: people have moved)", "short", ("max(mercato_trainer_drift)", "stability index")),
            ),
        ),
        Row(
            "Releases",
            (
                gauges("In use", "short", "sum by (job, release) (mercato_release_info)", "job, release"),
                rates("Answers by arm", "mercato_gateway_releases_chosen_total", "arm"),
                rates("Lists by what ordered them", "mercato_ranking_orders_total", "orderer"),
                values(
                    "Shadow: shared head", "percentunit", (quantile(0.5, "mercato_gateway_shadow_overlap"), "median")
                ),
                rates("Shadows", "mercato_gateway_shadows_total", "outcome"),
            ),
        ),
    ),
)

TRITON = Dashboard(
    "mercato-triton",
    "Mercato / Triton",
    (
        Row(
            "As services see it",
            (
                rates("Requests", "mercato_triton_seconds_count", "model, outcome"),
                latency("Duration", "mercato_triton_seconds", "", "model"),
                rates("Texts", "mercato_encoder_texts_total", "source"),
            ),
        ),
        Row(
            "As Triton sees it",
            (
                means("Queue", "µs", "nv_inference_queue_duration_us", "nv_inference_request_success", "model"),
                means(
                    "Compute", "µs", "nv_inference_compute_infer_duration_us", "nv_inference_request_success", "model"
                ),
                rates("Failed", "nv_inference_request_failure", "model"),
                means("Rows an execution", "short", "nv_inference_count", "nv_inference_exec_count", "model"),
            ),
        ),
    ),
)

STORES = Dashboard(
    "mercato-stores",
    "Mercato / PostgreSQL and Milvus",
    (
        Row(
            "PostgreSQL, from our side",
            (
                rates("Statements", "mercato_postgres_seconds_count", "job, query"),
                gauges(
                    "99th percentile", "s", quantile(0.99, "mercato_postgres_seconds", "", "job, query"), "job, query"
                ),
                rates("Failed", "mercato_postgres_failures_total", "job, query, kind"),
            ),
        ),
        Row(
            "Connections",
            (
                values(
                    "In use",
                    "short",
                    ("sum by (job) (mercato_postgres_connections_in_use)", "{{job}}"),
                    ("sum by (job) (mercato_postgres_connections_most)", "most {{job}}"),
                ),
                latency("Wait", "mercato_queue_seconds", 'queue="postgres_connections"', "job"),
                rates("Transactions made again", "mercato_profile_transaction_retries_total", "operation"),
            ),
        ),
        Row(
            "Milvus, from our side",
            (
                rates("Requests", "mercato_retrieval_milvus_seconds_count", "operation"),
                latency("Duration", "mercato_retrieval_milvus_seconds", "", "operation"),
                rates("Failed", "mercato_retrieval_milvus_failures_total", "operation"),
                latency("Searches that wait", "mercato_queue_seconds", 'queue="milvus_searches"', "queue"),
            ),
        ),
    ),
)

DASHBOARDS = (OVERVIEW, SERVICE, INDEXES, LEARNING, TRITON, STORES)
