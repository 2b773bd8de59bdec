"""What is done in a flow run, by whomever: a failover, a switch, a rejoin. None of it imports Prefect."""
