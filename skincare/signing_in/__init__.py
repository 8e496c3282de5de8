"""Signing in with a browser, and the pages about one's own account: second factors, sessions, tokens, password."""
