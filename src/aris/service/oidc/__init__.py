"""Sign-in at a site's OpenID provider: its discovery and keys, the code flow with PKCE, the check of what it says."""
