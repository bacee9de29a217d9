"""The listening history: privacy exports, and which observations are one listen."""
