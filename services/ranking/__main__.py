"""`python -m services.ranking` serves until SIGTERM."""

from services.ranking.settings import RankingSettings
from services.ranking.wiring import build
from shared.server.bootstrap import run

if __name__ == "__main__":
    run(RankingSettings(), build)
