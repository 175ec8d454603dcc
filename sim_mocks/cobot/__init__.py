"""The mock cobot: six CiA 402 torque drives on one CAN bus (or two), moving one simulated arm.

The order within a tick (:mod:`sim_mocks.cobot.device`): the drives sample encoder and current; what the supervisor
has sent comes over the bus, a SYNC latches RPDOs and samples TPDOs; the drives compute their torque; the world steps.
So a torque acts from the SYNC after its RPDO on, and a TPDO tells the state at its SYNC.
"""
