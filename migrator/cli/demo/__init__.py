"""The demo: a documented change, there and back, before your eyes, with every promise held to account."""
