"""The methods that the paper compares the network with, one module each; more follow the shape of `svm`."""
