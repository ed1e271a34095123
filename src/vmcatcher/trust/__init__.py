"""Signed lists: who signed what, and whether a trusted authority vouches for it now. The only user of cryptography."""
