"""Train the image tower."""
