"""Make collections, change them, look after them."""
