"""/insight/: how a service is doing, as charts that can be read as tables."""
