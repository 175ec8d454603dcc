"""What a technician does with a CAN bus: see who is there, what is said, how full it will be, and take it elsewhere."""
