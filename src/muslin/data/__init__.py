"""Files → Dataset."""
