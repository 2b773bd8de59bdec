"""Who would be promoted, why, and with what loss: plans and refusals, made before anything is touched. Pure."""
