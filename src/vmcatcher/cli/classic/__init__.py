"""The five commands of the classic vmcatcher, with its names, flags, outputs and exit codes."""
