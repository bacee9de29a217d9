"""Saved reports: their catalogue, and one ``.sql`` file each below ``sql/``."""
