"""A client of Spotify's Web API: its tokens and the guard before every call; nothing of the lake."""
