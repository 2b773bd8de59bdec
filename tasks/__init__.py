"""The steps of a failover, one file each, as retryable Prefect tasks."""

from .prefect_settings import protect_from_prefect

protect_from_prefect()
