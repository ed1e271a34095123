"""The noun-verb commands, one module per noun. What a command needs to do its work is imported when it runs."""
