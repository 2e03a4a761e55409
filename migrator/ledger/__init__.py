"""The Ledger: what has happened, in schema `migrator` of the same database; its reads and its writes."""
