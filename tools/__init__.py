"""Tools that regenerate what is generated: encoder weights, tables, golden files."""
