"""PEFT's LoRA adapters, read onto our modules and written from them."""
