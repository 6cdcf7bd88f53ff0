"""What a device learns of its user, online, and the scores that follow from it."""
