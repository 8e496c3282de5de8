"""REST for model stewards: datasets, training runs, and what becomes of the versions that they make."""
