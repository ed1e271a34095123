"""The command lines: flags are parsed, one use case is called, its result is rendered."""
