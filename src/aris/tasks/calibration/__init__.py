"""Calibrated probabilities: the model's own, a site's, and how reliable they are."""
