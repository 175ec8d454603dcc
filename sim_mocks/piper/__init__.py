"""The mock of a PiPER-type arm: an arm-level, big-endian protocol with feedback by time, no SYNC and no handshake."""
