"""Intakes in the workspace: links for patients, results for clinicians, emergencies for everybody."""
