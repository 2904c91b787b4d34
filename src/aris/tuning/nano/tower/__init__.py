"""The vision tower of `aris-nano`: teachers, distillation, and stress tests under shifts."""
