"""The store: a directory tree that is the whole state. Files only; no network, no cryptography beyond SHA-512."""
