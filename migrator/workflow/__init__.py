"""What the verbs mean: gather facts, plan, run the Steps under the lease, return a Report."""
