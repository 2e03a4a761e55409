"""The phases of a change's life: each file holds its kind of Step, do and undo together."""
