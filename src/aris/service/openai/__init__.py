"""OpenAI's API: chat and legacy completions, streamed or whole."""
