"""Measurements of a model in training: losses, answers, metrics, stress tests, curves."""
