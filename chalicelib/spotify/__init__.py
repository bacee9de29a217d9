"""Spotify: a client of its Web API, its tokens and the guard before every call; nothing of the lake."""
