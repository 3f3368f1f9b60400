"""`python -m services.trainer` serves until SIGTERM."""

from services.trainer.settings import TrainerSettings
from services.trainer.wiring import build
from shared.server.bootstrap import run

if __name__ == "__main__":
    run(TrainerSettings(), build)
