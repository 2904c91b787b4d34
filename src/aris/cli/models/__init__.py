"""Commands over models: list, serve, tune, measure."""
