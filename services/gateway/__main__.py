"""`python -m services.gateway` serves until SIGTERM."""

from services.gateway.settings import GatewaySettings
from services.gateway.wiring import build
from shared.server.bootstrap import run

if __name__ == "__main__":
    run(GatewaySettings(), build)
