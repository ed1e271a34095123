"""Results as text: the classic lines and JSON, byte for byte where scripts depend on it."""
