"""The key-value cache of all sequences: blocks, rings, the pool they lie in, and encoded images."""
