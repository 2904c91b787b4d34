"""Commands of the reading room: worklist, reading and signing, the worker, users, audit trail, backups."""
