"""Whether the network that should serve does serve: one part of `/readyz`."""

import redis
from django.conf import settings
from django.db import DatabaseError

from diagnosis.services.model_versions import NoVersionServes, champion
from skincare.health import heartbeat
from skincare.health.checks import NotReady


def model() -> None:
    """A version of the network is in service, and a living worker has loaded that very one. Raises NotReady."""
    try:
        version = champion()
        with heartbeat.connect(settings.REDIS_URL) as client:
            loaded = {process.model_version for process in heartbeat.living(client)}
    except NoVersionServes as error:
        raise NotReady(f"{error}.") from error
    except DatabaseError as error:
        raise NotReady("Which network serves cannot be told while PostgreSQL does not answer.") from error
    except redis.RedisError as error:
        raise NotReady("Which network is loaded cannot be told while Redis does not answer.") from error
    if version.name not in loaded:
        raise NotReady(f"The network {version} is in service, and no living worker has loaded it.")
