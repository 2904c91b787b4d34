"""Layers and optimizer states that fit into little memory: adapters, NF4, offloading, chunked losses, 8-bit AdamW."""
