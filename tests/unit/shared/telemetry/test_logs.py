import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import logging
from shared.context.request import use_request_id, use_tenant
from shared.telemetry.logs import configure_logs, logger
configure_logs("catalog", level="info", log_format="{format}")
log = logger("worker")
log.debug("hidden")
with use_tenant("shop-1"), use_request_id("r-1"):
    log.info("seen", items=3)
logging.getLogger("library").warning("from %s", "stdlib")
try:
    secret_local = "do not show"
    1 / 0
except ZeroDivisionError as error:
    log.error("failed", exc_info=error)
"""


def lines(log_format: str) -> list[str]:
    script = SCRIPT.replace("{format}", log_format)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_lines_carry_service_request_and_tenant() -> None:
    seen, library, failed = (json.loads(line) for line in lines("json"))
    assert seen.pop("timestamp")
    assert seen == {
        "event": "seen", "items": 3, "level": "info", "service": "catalog", "component": "worker",
        "request_id": "r-1", "tenant": "shop-1",
    }  # fmt: skip
    assert (library["event"], library["level"], library["service"]) == ("from stdlib", "warning", "catalog")
    assert "ZeroDivisionError" in failed["exception"]


def test_tracebacks_show_no_values() -> None:
    for log_format in ("json", "console"):
        text = "\n".join(lines(log_format))
        assert "ZeroDivisionError" in text
        assert "do not show" not in text.replace('secret_local = "do not show"', "")


def test_a_full_disk_of_logs_costs_lines_and_nothing_else() -> None:
    program = (
        "import logging\n"
        "from shared.telemetry.logs import configure_logs, logger\n"
        "configure_logs('catalog')\n"
        "logger().warning('own'), logging.getLogger('library').warning('theirs')\n"
        "print('alive')\n"
    )
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-u", "-c", program]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "alive\n")
