"""What the tests of every room share: a throw-away grid, signers, servers. Nothing here is shipped."""
