"""The coordinator of a federation, its fleet protocol and its durable storage."""
