"""How a failover brings replicas level, whoever has what they lack."""
