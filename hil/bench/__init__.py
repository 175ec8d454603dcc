"""How long a cycle takes: ``python -m hil.bench``.

The mock cell and the supervisor run in lockstep in processes of their own, as in ``hil demo --fast``, while the arm
polishes: the Cartesian controller with force feedback and the wrench sensor is the longest way through the cycle.
Lockstep measures the work of the cycle and not how well the machine keeps real time; a cycle at 1 kHz has colder
caches and takes up to twice as long.
"""
