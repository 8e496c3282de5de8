"""Pages for model stewards, rendered on the server."""
