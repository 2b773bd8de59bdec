"""What belongs to the primary's role besides its data: scheduled events and semi-synchronous replication."""
