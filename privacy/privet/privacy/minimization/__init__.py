"""What may leave a device: the egress policy and the one gate."""
