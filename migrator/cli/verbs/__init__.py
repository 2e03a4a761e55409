"""The verbs: each file is imported only when its verb is asked for."""
