"""What Prefect runs: one file a flow, each reading like the runbook of what it does."""

# The settings of Prefect come before Prefect.
import prefect_mha.tasks  # noqa: F401
