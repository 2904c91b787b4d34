"""Schemas of the workspace's answers and bodies: models of the names and fields of web/src/api/types.ts."""
