"""How a service is doing: volumes, waiting, agreement, accuracy, drift and subgroups, as tables of aggregates."""
