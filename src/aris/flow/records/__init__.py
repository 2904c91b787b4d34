"""Patients' records in the house: where they come from, whose they are, and their timelines, read when wanted."""
