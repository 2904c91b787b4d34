"""Training steps as CUDA graphs, over batches bucketed by shape."""
