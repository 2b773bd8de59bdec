"""The rows that row events hold: read with their tables and types, turned round, and made into statements."""
