"""Plays: which observations are one listen, and what is kept of the decision."""
