"""A grid, an endorser, a publisher and a site on one machine, to see what vmcatcher does; no part of its work."""
