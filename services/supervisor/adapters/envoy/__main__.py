"""`python -m services.supervisor.adapters.envoy FOLDER --gateway HOST:PORT`: what an Envoy run by somebody else needs.

Writes `envoy.yaml` and the contract's descriptors to FOLDER, from MERCATO_HTTP_... Run Envoy in a folder that it may
write to, where it makes the socket of its administration.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from services.supervisor.adapters.envoy.config import CERTIFICATE_FILE, certificate, descriptors, render
from services.supervisor.http_settings import HttpSettings

FAILED = 1


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m services.supervisor.adapters.envoy", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the files go; must exist")
    parser.add_argument(
        "--gateway", required=True, action="append", help="host:port; a name stands for all its addresses"
    )
    parser.add_argument("--gateway-ca", type=Path, help="issuers of the gateway's certificate; without: plain text")
    parser.add_argument("--listen", default="0.0.0.0:8080", help="default %(default)s")
    parser.add_argument("--status", default="0.0.0.0:9901", help="readiness and metrics; default %(default)s")
    given = parser.parse_args(arguments)
    try:
        written = render(
            HttpSettings(),
            listen=given.listen,
            status=given.status,
            gateways=given.gateway,
            gateway_ca=given.gateway_ca,
            folder=given.folder.absolute(),
        )
        shutil.copyfile(descriptors(), given.folder / descriptors().name)
        if secret := certificate(HttpSettings()):
            (given.folder / CERTIFICATE_FILE).write_text(secret)
        (given.folder / "envoy.yaml").write_text(written)
    except (ValidationError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
