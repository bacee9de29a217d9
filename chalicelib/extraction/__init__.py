"""What to ask of Spotify, then MusicBrainz, and keeping every answer: sources, readers, run, journal, state, lock."""
