"""The music-analytics lake: everything the Chalice app and the command line delegate to."""

__version__ = "0.1.0"
