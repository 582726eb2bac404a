"""Find duplicates, groups, mistakes and gaps in a collection."""
