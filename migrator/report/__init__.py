"""What leaves the process: values as JSON, and what is hidden from sight on the way out."""
