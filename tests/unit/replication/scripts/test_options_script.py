"""Which port a server was started for, by its words and the option files that it reads: options.sh in a real shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from prefect_mha.replication.scripts import script

FILES = {
    "etc/my.cnf": "[client]\nport=1\n[mysqld]\nport = 3310 # ours\n!includedir /etc/conf.d\n",
    "etc/conf.d/b.cnf": "[mysqld.two]\nport=3312\n[mysqldump]\nport=9\n",
    "etc/conf.d/note.txt": "[mysqld]\nport=5\n",
    "etc/one.cnf": '[mysqld]\nport="3311"\n[mysql]\nport=2\n',
    "etc/late.cnf": "[mysqld]\nport=1\n!include /etc/more.cnf\nbind-address=*\n",
    "etc/more.cnf": "port=7\n[mariadb-10.11]\nPORT=6\nport=3314",
    "etc/loop.cnf": "[mysqld]\nport=3315\n!include /etc/loop.cnf\n",
    "etc/nothing.cnf": "[client]\nport=8\n",
}


def port(root: Path, *words: str) -> str:
    """What the script says of a server with these words on a host with these files."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    code = script("options.sh") + f'\nport_in "{root}"\n'
    told = "".join(f"{word}\n" for word in words)
    done = subprocess.run(["sh", "-c", code], input=told, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mysqld"], "3310"),
        (["mysqld", "--port=3399"], "3399"),
        (["mysqld", "--port", "3399", "--user=x"], "3399"),
        (["mysqld", "-P3398", "--port=3399"], "3399"),
        (["mysqld", "-P", "3398"], "3398"),
        (["mysqld", "--defaults-file=/etc/one.cnf"], "3311"),
        (["mysqld", "--defaults_group_suffix=.two"], "3312"),
        (["mysqld", "--defaults-extra-file=/etc/one.cnf"], "3311"),
        (["mysqld", "--defaults-file=/etc/late.cnf"], "3314"),
        (["mysqld", "--defaults-file=/etc/loop.cnf"], "3315"),
        (["mysqld", "--defaults-file=/etc/nothing.cnf"], "3306"),
        (["mysqld", "--no-defaults"], "3306"),
        (["mysqld", "--defaults-file=/etc/gone.cnf"], ""),
        (["mysqld", "--defaults-file=my.cnf"], ""),
        ([], ""),
    ],
)
def test_the_port_is_the_last_one_that_is_set_for_a_server(tmp_path: Path, words: list[str], said: str) -> None:
    assert port(tmp_path, *words) == said
