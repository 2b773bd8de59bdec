# send_backup.sh WORKDIR REPLICA DATADIR <client.cnf: this host's server as a stream of mariadb-backup, for mbstream. With
# REPLICA=1 where it stands in its source's log is noted, too. The option file is handled as dump.sh does it. Its last word
# counts, and not its exit code alone: with a FATAL ERROR that was 0.
set -u
umask 077
task=mha-backup workdir=$1 replica=$2 datadir=$3

#include work.sh
cat >"$directory/client.cnf" || exit 91
backup=$(command -v mariadb-backup || command -v mariabackup) || { echo "mariadb-backup is not on this host" >&2; exit 92; }
set -- --defaults-file="$directory/client.cnf" --backup --stream=mbstream --target-dir="$directory/target"
[ "$replica" = 0 ] || set -- "$@" --slave-info

as=
# Whoever runs the server may put a link among its files, at any moment, and root would read what it leads to. Where the kernel
# can be told so (Linux 5.10), none is followed there; else those are told of that lie there now.
follows_none() {
  unshare -m sh -c 'mount --rbind "$0" "$0" && mount -o remount,bind,nosymfollow "$0" && exec "$@"' "$datadir" "$@"
}
if [ "$(id -u)" = 0 ]; then
  real=$(readlink -f "$datadir") && [ -d "$real" ] && [ "$(stat -c %u "$real")" != 0 ] ||
    { echo "$datadir is not there, or is root's, so it is no server's data directory" >&2; exit 93; }
  datadir=$real
  link=$(find "$datadir" -type l 2>/dev/null | head -1)
  [ -z "$link" ] || { echo "$link is a link, and root follows none: take it away, or name another way (--method=dump)" >&2; exit 97; }
  set -- "$@" --datadir="$datadir"
  as=follows_none
  follows_none true >/dev/null 2>&1 || as=
fi
$as "$backup" "$@" 2>"$directory/said"
code=$?
tail -1 "$directory/said" | grep -q 'completed OK!' && [ $code = 0 ] || {
  grep -iE 'error|failed|denied' "$directory/said" | tail -1 >&2
  [ $code != 0 ] || code=98
  exit $code
}
