"""Client programs for the manager's seat, out of the images: the machine itself may have none, or others."""

from __future__ import annotations

from pathlib import Path

from tests.lab import images
from tests.lab.cluster import Cluster

_WRAPPER = """\
#!/bin/sh
# Under the image's own loader and libraries. An option that says which file the others are in has to come first.
first=$1
shift
echo $$ >{directory}/reader.pid
exec {root}/lib64/ld-linux-x86-64.so.2 --library-path {root}/usr/lib/x86_64-linux-gnu {root}/usr/bin/{program} \\
  "$first" --plugin-dir={root}{plugins} "$@"
"""


def reader_bindir(cluster: Cluster) -> Path:
    """A directory with the mysqlbinlog that belongs to the cluster's servers (5.6 gets that of 9.7).

    The last one that was started has its process number in ``reader.pid`` there.
    """
    directory = cluster.seat / "bin"
    directory.mkdir(exist_ok=True)
    mariadb = cluster.kind.mariadb
    name = "mariadb-binlog" if mariadb else "mysqlbinlog"
    plugins = "/usr/lib/mysql/plugin"
    program = directory / name
    program.write_text(
        _WRAPPER.format(directory=directory, root=images.ensure(cluster.kind.image), program=name, plugins=plugins)
    )
    program.chmod(0o755)
    return directory
