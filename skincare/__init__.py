"""The Django project: settings, sign-in, audit, health, and the launcher behind `make up`."""
