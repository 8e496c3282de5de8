"""What the cache in Valkey may hold."""


class Counts:
    """Whole numbers and nothing else: what Valkey holds is never unpickled, which would run what it says."""

    def dumps(self, value: object) -> int:
        """The number itself.

        Raises:
            TypeError: it is not a whole number.
        """
        if type(value) is not int:
            raise TypeError(f"the cache in Valkey counts, and keeps no {type(value).__name__}; see settings.CACHES")
        return value

    def loads(self, data: bytes) -> int:
        """The number. Raises `ValueError` for anything else."""
        return int(data)
