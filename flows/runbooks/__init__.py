"""What happens when a primary dies or its role moves, phase by phase. They know nothing of how they were started."""
