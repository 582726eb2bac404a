"""Train the text tower, and what it knows."""
