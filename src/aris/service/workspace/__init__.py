"""The workspace's server: what a clinician's browser asks at /api, and the pages at all other paths."""
