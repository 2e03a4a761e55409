"""What people type and see: one verb per file; the only room that knows Typer and Rich, and that prints."""
