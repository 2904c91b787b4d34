"""Whole-slide images and their patches."""
