"""The scope that a model declares, and what of an examination or a question lies inside it."""
