"""The pure model: bytes and decisions in, decisions out. No files, no network, no clock, no logging."""
