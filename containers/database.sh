#!/bin/sh
# A database host of compose.yaml: sshd, and mariadbd beside it, so that what is on the disk of one that dies can be read.
# /shared is a volume of all containers: keys and passwords made at the first start, nothing of which is in an image.
set -eu
name=$(hostname)
number=${name#db}

wait_for() { # FILE
  i=0
  until [ -e "$1" ]; do
    i=$((i + 1))
    [ $i -lt 600 ] || { echo "$1 does not come" >&2; exit 1; }
    sleep 0.1
  done
}

wait_for /shared/ready
mkdir -p /root/.ssh && chmod 700 /root/.ssh && cp /shared/id_ed25519.pub /root/.ssh/authorized_keys
cp /shared/host_ed25519 /etc/ssh/ssh_host_ed25519_key && chmod 600 /etc/ssh/ssh_host_ed25519_key
mkdir -p /run/sshd && /usr/sbin/sshd -o PermitRootLogin=prohibit-password -o UseDNS=no

mkdir -p /run/mysqld && chown mysql:mysql /run/mysqld /var/lib/mysql
cat >/etc/mysql/mariadb.conf.d/99-mha.cnf <<CNF
[mysqld]
bind-address=0.0.0.0
server-id=$number
report-host=$name
log-bin=mysql-bin
log-slave-updates
binlog_format=ROW
gtid_strict_mode=ON
sync_binlog=1
relay-log=relay-bin
relay-log-purge=0
innodb_buffer_pool_size=64M
skip-name-resolve
skip-slave-start
$([ "$number" = 1 ] || echo read_only=1)
CNF

if [ ! -d /var/lib/mysql/mysql ]; then
  mariadb-install-db --user=mysql --skip-test-db --auth-root-authentication-method=socket >/dev/null
  install -m 0600 -o mysql /dev/null /run/mysqld/first.sql
  mha=$(cat /shared/mha.password) repl=$(cat /shared/repl.password) app=$(cat /shared/app.password)
  {
    # A statement a line, as --init-file wants them.
    echo "SET sql_log_bin=0;"
    echo "CREATE USER mha@'%' IDENTIFIED BY '$mha';"
    echo "GRANT ALL ON *.* TO mha@'%' WITH GRANT OPTION;"
    echo "CREATE USER repl@'%' IDENTIFIED BY '$repl';"
    echo "GRANT REPLICATION SLAVE ON *.* TO repl@'%';"
    echo "CREATE DATABASE app;"
    echo "CREATE USER app@'%' IDENTIFIED BY '$app';"
    echo "GRANT ALL ON app.* TO app@'%';"
    [ "$number" = 1 ] || {
      how="MASTER_PASSWORD='$repl', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos"
      echo "CHANGE MASTER TO MASTER_HOST='db1', MASTER_USER='repl', $how;"
      echo "START SLAVE;"
    }
  } >/run/mysqld/first.sql
  # Run by the server itself once it is up: nobody can log in before.
  mariadbd --user=mysql --init-file=/run/mysqld/first.sql &
else
  mariadbd --user=mysql &
fi
# The container lives as long as its host would: a mariadbd that dies leaves sshd, and its disk, to be asked.
trap 'kill $! 2>/dev/null; wait $!; exit 0' TERM INT
wait $! || true
echo "mariadbd ended; this host goes on without it" >&2
while :; do
  sleep 3600 &
  wait $!
done
