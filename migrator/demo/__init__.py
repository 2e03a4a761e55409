"""Legacy databases as found in life, for the demo, the tests and the benchmarks."""
