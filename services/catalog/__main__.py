"""`python -m services.catalog` serves until SIGTERM."""

from services.catalog.settings import CatalogSettings
from services.catalog.wiring import build
from shared.server.bootstrap import run

if __name__ == "__main__":
    run(CatalogSettings(), build)
