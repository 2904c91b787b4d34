"""Volumes of CT and MR: slices in order, in real units, in windows."""
