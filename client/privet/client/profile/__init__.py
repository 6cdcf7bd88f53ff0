"""What a device thinks of its user: their reviews, the questions it asks, the profile they edit."""
