"""The steps of a failover, one file each, as retryable Prefect tasks."""
