"""`make up`: brings up PostgreSQL, Valkey, web and workers on one machine, and takes all of it down again."""
