"""What is true of a replication cluster, and what may be done to it. Knows nothing of Prefect."""
