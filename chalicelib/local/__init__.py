"""What a laptop has in place of AWS: the server, the schedule and the events of new objects. Not deployed."""
