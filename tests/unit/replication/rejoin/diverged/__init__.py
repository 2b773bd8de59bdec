"""Unit tests of two servers that went apart."""
