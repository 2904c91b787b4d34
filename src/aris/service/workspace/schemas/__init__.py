"""What the workspace's server says and takes: models of the names and fields of web/src/api/types.ts."""
