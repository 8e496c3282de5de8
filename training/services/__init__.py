"""Every write of the learning app: one function per use case."""
