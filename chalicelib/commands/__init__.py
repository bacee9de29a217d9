"""The command line: commands, what they print, and the doctor. Laptop only: not deployed."""
