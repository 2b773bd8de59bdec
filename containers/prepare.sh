#!/bin/sh
# The first start of compose.yaml: keys and passwords by chance, and the configuration, into the volume of all containers.
set -eu
umask 077
cd /shared
if [ ! -e ready ]; then
  for name in mha repl app; do
    head -c 18 /dev/urandom | base64 | tr '+/' '_-' >$name.password
  done
  ssh-keygen -q -t ed25519 -N '' -C mha -f id_ed25519
  ssh-keygen -q -t ed25519 -N '' -C host -f host_ed25519
  for host in db1 db2 db3; do echo "$host $(cut -d' ' -f1,2 host_ed25519.pub)"; done >known_hosts
  cat >app1.cnf <<CNF
[server default]
manager_workdir=/var/lib/mha/app1
user=mha
password=file:/shared/mha.password
repl_user=repl
repl_password=file:/shared/repl.password
ssh_user=root
ssh_options=-i /shared/id_ed25519 -o UserKnownHostsFile=/shared/known_hosts
master_binlog_dir=/var/lib/mysql
hook_passwords=0
ping_interval=1

[server1]
hostname=db1

[server2]
hostname=db2
candidate_master=1

[server3]
hostname=db3
CNF
  # The manager's user in its image; the others are root.
  chown 10001:10001 -- *
  chown 10001:10001 .
  : >ready
fi
