"""KUKA FRI (Fast Robot Interface): wire format and driver of an LBR iiwa."""
