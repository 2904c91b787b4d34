"""Studies: the worklist, looking, reading, signing, documents, uploads, deliveries, live events."""
