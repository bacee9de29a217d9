"""A client of MusicBrainz and ListenBrainz: what to ask, how to ask politely, and what an answer means."""
