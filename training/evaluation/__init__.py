"""How good a network is: figures with intervals, calibration, thresholds and subgroups."""
