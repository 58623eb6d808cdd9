"""On what kind of file system a path is: SQLite's log does not work over a network."""

from __future__ import annotations

from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
SHARES = ("cifs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs")
CLUSTERS = ("afs", "beegfs", "ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "gpfs", "lustre")


def network_file_system(path: Path, mounts: Path = MOUNTS) -> str | None:
    """The name of the network file system that a path is on; None for a local one, or where nobody tells."""
    place = path.resolve()
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(_unescaped(before.split()[4]))
        if place.is_relative_to(point):
            # Of two on one point, the later lies on top.
            found[point] = after.split()[0]
    kind = found[max(found, key=lambda point: len(point.parts))] if found else None
    return kind if kind in SHARES or kind in CLUSTERS else None


def _unescaped(text: str) -> str:
    """A path as the kernel writes it: spaces and line breaks are octal."""
    for code in ("040", "011", "012", "134"):
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text
