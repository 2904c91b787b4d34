"""The books of patients' records: where they lie, whose they are, what the watch knows of them, alarms and acts on them."""
