"""Paths of the checkout's folders, for tests that run its commands."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY / "configs"
SCRIPTS = REPOSITORY / "scripts"
SUPPORT = REPOSITORY / "tests" / "support"
