"""Drafts on the screen: written live, with their evidence, asked about, and begun from templates."""
