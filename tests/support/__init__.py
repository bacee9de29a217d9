"""What tests share. Also the one place that says where files lie: the project, its fixtures, and what other projects
recorded or published (``../shared`` beside the checkout, which a clone does not have; tests of it say so and skip)."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FIXTURES = PROJECT / "tests" / "fixtures"
SHARED = PROJECT.parent / "shared"
