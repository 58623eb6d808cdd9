"""Clients of redis-py for an endpoint. They don't retry, and no command times out: `Connection` does that."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, TypeAlias

from redis.asyncio import ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkmate_queue.backends.redis.endpoint import Endpoint, Security

_CONNECT_SECONDS = 2.0
"""Where one of several nodes is silent, the others are still to be asked."""

Client: TypeAlias = Redis | RedisCluster
"""What runs commands; the cluster's finds the node by the key."""


class Guarded(Redis):
    """A client of a master behind Sentinels; with it go its connections to those."""

    sentinels: Sequence[Redis] = ()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all connections."""
        await super().aclose(close_connection_pool)
        for sentinel in self.sentinels:
            await sentinel.aclose()


class Spread(RedisCluster):
    """A client of a cluster; redis-py's closes nothing while it means to look for the nodes anew."""

    async def aclose(self) -> None:
        """Close all connections."""
        await super().aclose()
        await self.nodes_manager.aclose()
        await self.nodes_manager.aclose("startup_nodes")


def make_client(endpoint: Endpoint, security: Security) -> Client:
    """A client, which connects when it is used."""
    options = _options(endpoint, security)
    match endpoint.kind:
        case "cluster":
            nodes = [ClusterNode(host, port) for host, port in endpoint.hosts]
            return Spread(
                startup_nodes=nodes, require_full_coverage=False, **options, **_tls(security, endpoint)
            )
        case "sentinel":
            return _behind_sentinels(endpoint, security, options)
        case "socket":
            pool = ConnectionPool(UnixDomainSocketConnection, path=endpoint.path, **options)
            return Redis.from_pool(pool)
        case "server":
            ((host, port),) = endpoint.hosts
            return make_node_client(endpoint, security, host, port)


def make_node_client(endpoint: Endpoint, security: Security, host: str, port: int) -> Redis:
    """A client of one server, whatever else there is."""
    options = {**_options(endpoint, security), "host": host, "port": port, "db": endpoint.database}
    if endpoint.tls:
        options["connection_class"] = SSLConnection
        options.update({name: value for name, value in _tls(security, endpoint).items() if name != "ssl"})
    return Redis.from_pool(ConnectionPool(**options))


def _behind_sentinels(endpoint: Endpoint, security: Security, options: dict[str, Any]) -> Redis:
    tls = _tls(security, endpoint)
    to_sentinels = {
        **_unhurried(),
        **tls,
        "socket_timeout": _CONNECT_SECONDS,
        "username": security.sentinel_username,
        "password": security.sentinel_password,
    }
    make_sentinel: Any = Sentinel  # which has no types
    sentinel = make_sentinel(endpoint.hosts, sentinel_kwargs=to_sentinels)
    client: Guarded = sentinel.master_for(endpoint.service, Guarded, db=endpoint.database, **options, **tls)
    client.sentinels = sentinel.sentinels
    return client


def _options(endpoint: Endpoint, security: Security) -> dict[str, Any]:
    password = security.password if security.password is not None else endpoint.password
    return {**_unhurried(), "username": endpoint.username, "password": password}


def _unhurried() -> dict[str, Any]:
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": _CONNECT_SECONDS,
    }


def _tls(security: Security, endpoint: Endpoint) -> dict[str, Any]:
    if not endpoint.tls:
        return {}
    return {
        "ssl": True,
        "ssl_ca_certs": security.ca_file,
        "ssl_certfile": security.certificate_file,
        "ssl_keyfile": security.key_file,
        "ssl_cert_reqs": ssl.CERT_REQUIRED if security.verify else ssl.CERT_NONE,
        "ssl_check_hostname": security.verify,
    }
