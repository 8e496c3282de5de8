"""The learning app: from labelled images to a version of the network in service."""
