"""The backend in the user's resident server."""
