"""What load balancers and Prometheus ask of a manager."""
