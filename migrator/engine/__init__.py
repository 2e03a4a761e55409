"""The engine: what moves, compares, counts and undoes rows, as SQL that never leaves the server."""
