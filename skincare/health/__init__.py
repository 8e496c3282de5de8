"""Whether the process lives (`/healthz`) and whether everything that a case needs is there (`/readyz`)."""
