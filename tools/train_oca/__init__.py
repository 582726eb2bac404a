"""Make nano@2, an encoder trained to extend the space of nano@1 (OCA)."""
