"""Which paths are on network file systems, by the kernel's list of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkmate_queue.backends.sqlite.mounts import network_file_system
from checkmate_queue.backends.sqlite.plugin import SqlitePlugin

MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:40 / {root}/share rw - nfs4 server:/export rw,vers=4.2
31 30 0:41 / {root}/share/local rw shared:7 master:2 - ext4 /dev/vdb rw
32 22 0:42 / {root}/with\\040space rw - cifs //server/share rw
33 22 0:43 / {root}/covered rw - nfs server:/old rw
34 22 254:1 / {root}/covered rw - xfs /dev/vdc rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("queue.db", None),
        ("share/queue.db", "nfs4"),
        ("share/deep/queue.db", "nfs4"),
        ("share/local/queue.db", None),
        ("shared/queue.db", None),
        ("with space/queue.db", "cifs"),
        ("covered/queue.db", None),
        ("link/queue.db", "nfs4"),
    ],
)
def test_the_mount_that_a_path_is_on_decides(path: str, kind: str | None, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(root=tmp_path))
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    assert network_file_system(tmp_path / path, mounts) == kind


def test_where_the_kernel_tells_nothing_nothing_is_said(tmp_path: Path) -> None:
    assert network_file_system(tmp_path / "queue.db", tmp_path / "no such list") is None


def test_this_machines_list_is_understood(tmp_path: Path) -> None:
    plugin = SqlitePlugin()
    assert plugin.dangers(plugin.validate({"path": str(tmp_path / "queue.db")})) == ()


def test_what_is_not_there_is_said_without_making_it(tmp_path: Path) -> None:
    plugin = SqlitePlugin()

    def absence(name: str) -> str | None:
        return plugin.absence(plugin.validate({"path": str(tmp_path / name)}))

    assert (
        absence("queue.db") == f"there is no file '{tmp_path / 'queue.db'}'; a worker, or enqueue, makes it"
    )
    assert absence("a/b") == f"there is no folder '{tmp_path / 'a'}'; make it, or name another path"
    (tmp_path / "queue.db").touch()
    assert absence("queue.db") is None
    assert absence("n" * 300) is None  # what can't be looked at may be there; opening it tells more
    assert [each.name for each in tmp_path.iterdir()] == ["queue.db"]
