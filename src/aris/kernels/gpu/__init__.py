"""Triton kernels for CUDA devices. Nothing here is imported unless Triton is installed and a CUDA device is used."""
