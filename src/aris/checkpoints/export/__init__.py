"""Checkpoints written: GGUF files, Hugging Face folders, and quantised folders."""
