"""Persons at studies: the worklist, the reading room, the desk where reports are signed, priors, pairs for tuning."""
