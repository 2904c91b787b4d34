"""Intakes in the house: links that clinicians make, patients' answers, and what lands beside studies."""
