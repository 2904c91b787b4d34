"""Hugging Face folders, read."""
