"""Object stores: a folder, or a bucket."""
