"""Paths of the checkout's folders, for tests that run its commands, and of what tests share."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY / "configs"
SCRIPTS = REPOSITORY / "scripts"
SUPPORT = REPOSITORY / "tests" / "support"

# Environment variable with the folder that all processes of a test run share.
SHARED = "FACEEMO_TESTS_SHARED"
