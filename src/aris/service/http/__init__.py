"""HTTP within bounds: sockets, connections, bodies, callers and logs."""
