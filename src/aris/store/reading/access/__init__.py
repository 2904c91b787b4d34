"""Ways in: web sessions, API tokens, identities at an OpenID provider, and each user's preferences."""
