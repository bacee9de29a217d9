"""What to ask of Spotify, and keeping every answer: sources, readers, run, journal, state, lock."""
