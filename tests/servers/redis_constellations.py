"""Redis servers that stand in for one another: behind Sentinels, and as a cluster."""

from __future__ import annotations

import time
from pathlib import Path

from checkmate_queue.testing.waiting import wait_until
from tests.servers.certificates import Proof
from tests.servers.redis_process import DURABLE, RedisProcess

SERVICE = "main"
SLOTS = 16_384
HANDING_OVER_SECONDS = 10.0
SOON = ("--repl-diskless-sync-delay", "0")


class Guarded:
    """A master, a replica, and three Sentinels."""

    def __init__(
        self, folder: Path, *options: str, program: str | None = None, proof: Proof | None = None
    ) -> None:
        self.servers = [
            RedisProcess(folder / name, *DURABLE, *SOON, *options, program=program, proof=proof)
            for name in ("first", "second")
        ]
        self.sentinels = [
            RedisProcess(folder / f"sentinel-{n}", program=program, proof=proof) for n in range(3)
        ]

    @property
    def url(self) -> str:
        """What a manager is given."""
        hosts = ",".join(sentinel.address for sentinel in self.sentinels)
        return f"{self.servers[0].scheme}+sentinel://{hosts}/{SERVICE}"

    def master(self) -> RedisProcess:
        """Whom the Sentinels name."""
        with self.sentinels[0].client() as client:
            _, port = client.sentinel_get_master_addr_by_name(SERVICE)
        return next(server for server in self.servers if server.port == port)

    async def start(self) -> None:
        """Start all; ready when the Sentinels know of the replica and of each other."""
        first, second = self.servers
        await first.start()
        await second.start()
        with second.client() as client:
            client.replicaof("127.0.0.1", first.port)
        settings = (
            f"sentinel monitor {SERVICE} 127.0.0.1 {first.port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\n"
            f"sentinel failover-timeout {SERVICE} 5000"
        )
        for sentinel in self.sentinels:
            await sentinel.start_as_sentinel(settings)
        await wait_until(self._is_ready, description="the Sentinels are ready", timeout=60)

    def fail_over(self) -> None:
        """Have another server promoted, while the master lives."""
        with self.sentinels[0].client() as client:
            client.execute_command("SENTINEL", "FAILOVER", SERVICE)

    async def failed_over_from(self, old: RedisProcess) -> None:
        """Wait until the other server is the master, and this one, if it lives, its replica."""
        await wait_until(
            lambda: self.master() is not old and self.master().role() == "master",
            description="another master",
            timeout=60,
        )
        if old.lives:
            await wait_until(lambda: old.role() == "slave", description="the old one obeys", timeout=60)

    def _is_ready(self) -> bool:
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                state = client.sentinel_masters()[SERVICE]
            if state["num-slaves"] != 1 or state["num-other-sentinels"] != 2:
                return False
        with self.servers[1].client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def kill(self) -> None:
        """SIGKILL for all."""
        for server in (*self.sentinels, *self.servers):
            server.kill()


class Cluster:
    """Three masters with a share of the slots each, and a replica for each."""

    def __init__(self, folder: Path, *, program: str | None = None, proof: Proof | None = None) -> None:
        options = [*DURABLE, *SOON, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
        if proof is not None:
            options += ["--tls-cluster", "yes"]
        self.masters, self.replicas = (
            [RedisProcess(folder / f"{kind}-{n}", *options, program=program, proof=proof) for n in range(3)]
            for kind in ("master", "replica")
        )

    @property
    def nodes(self) -> list[RedisProcess]:
        """All servers."""
        return [*self.masters, *self.replicas]

    @property
    def url(self) -> str:
        """What a manager is given."""
        return f"{self.masters[0].scheme}+cluster://{','.join(node.address for node in self.masters)}"

    async def start(self) -> None:
        """Start all and make them one cluster; ready when every node says so."""
        for node in self.nodes:
            await node.start()
        share = SLOTS // len(self.masters) + 1
        for n, master in enumerate(self.masters):
            with master.client() as client:
                client.cluster("ADDSLOTSRANGE", n * share, min((n + 1) * share, SLOTS) - 1)
                client.cluster("SET-CONFIG-EPOCH", n + 1)
        with self.masters[0].client() as client:
            for node in self.nodes[1:]:
                client.cluster("MEET", "127.0.0.1", node.port)
        await wait_until(self._all_met, description="all nodes met", timeout=60)
        for master, replica in zip(self.masters, self.replicas, strict=True):
            with master.client() as client:
                number = client.cluster("MYID")
            with replica.client() as client:
                client.cluster("REPLICATE", number.decode())
        await wait_until(self._is_ready, description="the cluster is ready", timeout=60)

    async def failed_over_to(self, replica: RedisProcess) -> None:
        """Wait until it is a master."""
        await wait_until(lambda: replica.role() == "master", description="the replica is master", timeout=60)

    async def hand_over_to(self, replica: RedisProcess) -> None:
        """Have it promoted by its master; asked again where both gave up, as they do on a busy machine."""
        asked_at = 0.0

        def is_master() -> bool:
            nonlocal asked_at
            if replica.role() == "master":
                return True
            if time.monotonic() - asked_at > HANDING_OVER_SECONDS:
                with replica.client() as client:
                    client.cluster("FAILOVER")
                asked_at = time.monotonic()
            return False

        await wait_until(is_master, description="the replica is master", timeout=60)

    def _all_met(self) -> bool:
        for node in self.nodes:
            with node.client() as client:
                if client.cluster("INFO")["cluster_known_nodes"] != str(len(self.nodes)):
                    return False
        return True

    def _is_ready(self) -> bool:
        for node in self.nodes:
            with node.client() as client:
                if client.cluster("INFO")["cluster_state"] != "ok":
                    return False
        for replica in self.replicas:
            with replica.client() as client:
                if client.info("replication").get("master_link_status") != "up":
                    return False
        for master in self.masters:
            with master.client() as client:
                if client.info("replication")["connected_slaves"] != 1:
                    return False
        return True

    def kill(self) -> None:
        """SIGKILL for all."""
        for node in self.nodes:
            node.kill()
