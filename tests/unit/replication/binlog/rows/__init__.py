"""Unit tests of the rows that row events hold."""
