"""The commands with their usage and flags, a family to a file; `commands.FAMILIES` says which is where."""
