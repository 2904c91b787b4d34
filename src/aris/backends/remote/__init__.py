"""The backend at the other end of a URL: any OpenAI-compatible endpoint."""
