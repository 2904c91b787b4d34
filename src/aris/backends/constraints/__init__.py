"""Answers of a given form: JSON schemas and grammars as masks over the next token."""
