"""Cluster node: a server that shares logs, readers, slots and tickets through Redis (chapter 14)."""

from redis.exceptions import RedisError

from runwire_reference_server.agents import Agent
from runwire_reference_server.app import Server, create_server
from runwire_reference_server.cluster.redis_node import RedisNode, client
from runwire_reference_server.cluster.redis_slots import RedisSlots
from runwire_reference_server.cluster.redis_store import RedisStore
from runwire_reference_server.cluster.redis_tickets import RedisTickets
from runwire_reference_server.service.settings import SettingError, Settings


def create_node(url: str, settings: Settings, agent: Agent | None) -> tuple[Server, RedisNode]:
    """Return a server on the Redis at `url`, and the node that has to live while the server serves."""
    node = RedisNode(url, settings.seconds("worker_lost_s"))
    store = RedisStore(
        node,
        settings.seconds("resume_window_s"),
        settings.session_s,
        settings.seconds("detach_grace_s"),
        settings.number("kept_bytes_per_principal"),
    )
    slots = RedisSlots(node, settings.number("connections_per_principal"))
    server = create_server(settings, agent, store, slots, RedisTickets(node))
    node.on_lost = server.service.abandon
    return server, node


async def check_redis(url: str) -> None:
    """Raise SettingError unless a Redis answers at `url`, which may hold a password and is never shown."""
    try:
        redis = client(url)
    except ValueError:
        raise SettingError(
            "--redis must be redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH"
        ) from None
    try:
        await redis.ping()
    except (RedisError, OSError, TimeoutError) as problem:
        raise SettingError(f"cannot use the Redis that --redis names: {problem}") from None
    finally:
        await redis.aclose()
