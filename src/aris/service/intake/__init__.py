"""Intake over HTTP: a page for patients' phones, and JSON for the clinic's own programs."""
