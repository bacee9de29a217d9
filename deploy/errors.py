"""What stops a deployment: a step's name is in the message, and what to do about it where that is known."""

from __future__ import annotations


class DeployFailed(Exception):
    """One clear line; everything that was made is kept track of, so that running again mends it."""
