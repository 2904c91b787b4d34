"""Intakes of patients: who was asked, where the questions stand, what came of them, and who has seen it."""
