"""The books of patients' records: where they lie, whose they are, the watch's state, alarms and acts on them."""
