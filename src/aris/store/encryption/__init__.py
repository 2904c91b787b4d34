"""Encryption of the store's files at rest: their form, their keys, and the change from one to another."""
