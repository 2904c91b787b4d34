"""Patients' records and the alarms of the watch over them, for the pages."""
