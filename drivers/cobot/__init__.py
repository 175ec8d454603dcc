"""Driver of an arm whose joints are CANopen CiA 402 drives."""
