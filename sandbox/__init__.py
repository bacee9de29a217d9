"""A stand-in for the Spotify Web API and accounts service, for development, tests and demonstrations.

Nothing here talks to Spotify, and nothing here is deployed. ``python -m sandbox`` starts the server;
``sandbox.server.Sandbox`` starts it inside a test; ``sandbox.export`` writes privacy exports;
``sandbox.answers`` makes answer bodies without HTTP.
"""
