"""What runs on a device: its step in a round, and (later) the client that apps embed."""
