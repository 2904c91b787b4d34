"""Encryption of files at rest: their form and their keys."""
