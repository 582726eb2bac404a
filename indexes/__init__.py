"""Vectors and bytes: stores, transforms and indexes of unit vectors. Knows nothing of images."""
