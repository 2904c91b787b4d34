"""Aris: the open MedGemma system."""

__version__ = "0.1.0"
