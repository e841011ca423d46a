"""Where the checkout's folders lie, for tests that start its commands."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY / "configs"
SCRIPTS = REPOSITORY / "scripts"
SUPPORT = REPOSITORY / "tests" / "support"
