"""Ways in: set-up, sign-in, users, passwords, API tokens, preferences, sign-in at an OpenID provider."""
