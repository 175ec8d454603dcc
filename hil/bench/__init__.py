"""How long a cycle takes: ``python -m hil.bench``.

The mock cell and the supervisor run in processes of their own while the arm polishes: the Cartesian controller with
force feedback and the wrench sensor is the longest way through the cycle. Two clocks stand side by side. In *lockstep*,
as in ``hil demo --fast``, each process waits for the other: that measures the work of the cycle and not how well the
machine keeps real time. By the *wall clock*, as in ``hil demo --realtime``, the mock sends its packets at absolute
times and waits for nobody: what counts is how soon after a packet the supervisor wakes, when its answer leaves, and
which ticks it misses; a cycle that has slept finds colder caches and takes up to twice as long.
"""
