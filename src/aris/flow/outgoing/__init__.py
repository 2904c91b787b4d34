"""Signed reports on their way to other systems."""
