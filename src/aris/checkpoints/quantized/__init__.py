"""Quantised weights as checkpoints store them: ours and those of bitsandbytes."""
