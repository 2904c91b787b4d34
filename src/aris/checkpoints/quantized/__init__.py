"""Quantised checkpoints: made, stored and read."""
