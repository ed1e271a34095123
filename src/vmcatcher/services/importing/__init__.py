"""The parts of importing a classic database: endorsers, subscriptions with their lists, cached and expired files."""
