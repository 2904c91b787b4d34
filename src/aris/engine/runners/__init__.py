"""Runners: the tensor work of a step on CPUs and CUDA devices, behind one protocol."""
