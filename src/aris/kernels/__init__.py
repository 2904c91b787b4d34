"""Products, attention and fused steps for the engine: compiled for CPUs (`cpu`) and in Triton for CUDA (`gpu`)."""
