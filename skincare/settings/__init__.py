"""`base` holds what is always so, `local` adds servers and secrets at hand, `production` insists on being told."""
