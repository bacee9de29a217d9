"""What to ask of Spotify, and keeping every answer: plan, run, journal, state, lock."""
