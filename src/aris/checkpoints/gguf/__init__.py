"""GGUF files, read and written: blocks, tensors, vocabulary and chat template."""
