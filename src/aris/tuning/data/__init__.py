"""Training data: conversations and images read, checked, split, tokenised and collated into batches."""
