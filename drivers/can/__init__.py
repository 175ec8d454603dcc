"""CAN itself, whatever arm speaks on it: adapters, a fast path for serial ones, a ring of logs."""
