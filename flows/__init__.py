"""What Prefect runs: one file a flow, each reading like the runbook of what it does."""
