"""Spotify: the client and its guard, tokens, sources."""
