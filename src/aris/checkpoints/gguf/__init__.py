"""GGUF files, read: blocks, tensors and vocabulary."""
