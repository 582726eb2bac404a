"""Search collections, give them to others, make images easier to find."""
