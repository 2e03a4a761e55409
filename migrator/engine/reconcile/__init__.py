"""Reconciling: what is declared against what is there already, and the acts that bring it over. Nothing here asks."""
