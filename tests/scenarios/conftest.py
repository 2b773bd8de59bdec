"""What the scenarios share shows its values too when an assertion of it fails."""

import pytest

pytest.register_assert_rewrite(
    *(f"tests.scenarios.{name}" for name in ("contents", "deployments", "failing_over", "moving", "watching"))
)
