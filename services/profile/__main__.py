"""Runs the profile service: ``python -m services.profile``."""

from services.profile.settings import ProfileSettings
from services.profile.wiring import build
from shared.server.bootstrap import run

if __name__ == "__main__":
    run(ProfileSettings(), build)
