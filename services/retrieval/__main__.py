"""Runs the service."""

from services.retrieval.settings import RetrievalSettings
from services.retrieval.wiring import build
from shared.server.bootstrap import run

if __name__ == "__main__":
    run(RetrievalSettings(), build)
