"""The encoder's process: ``python -m services.encoder``."""

from services.encoder.settings import EncoderSettings
from services.encoder.wiring import build
from shared.server.bootstrap import run

if __name__ == "__main__":
    run(EncoderSettings(), build)
