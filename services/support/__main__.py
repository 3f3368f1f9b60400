"""`python -m services.support` serves until SIGTERM."""

from services.support.settings import SupportSettings
from services.support.wiring import build
from shared.server.bootstrap import run

if __name__ == "__main__":
    run(SupportSettings(), build)
