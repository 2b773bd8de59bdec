# send_backup.sh WORKDIR REPLICA <client.cnf: this host's server as a stream of mariadb-backup, for mbstream. With REPLICA=1
# where it stands in its source's log is noted, too. The option file is handled as dump.sh does it. Its last word counts, and
# not its exit code alone: with a FATAL ERROR that was 0.
set -u
umask 077
task=mha-backup workdir=$1 replica=$2

#include work.sh
cat >"$directory/client.cnf" || exit 91
backup=$(command -v mariadb-backup || command -v mariabackup) || { echo "mariadb-backup is not on this host" >&2; exit 92; }
set -- --defaults-file="$directory/client.cnf" --backup --stream=mbstream --target-dir="$directory/target"
[ "$replica" = 0 ] || set -- "$@" --slave-info
"$backup" "$@" 2>"$directory/said"
code=$?
tail -1 "$directory/said" | grep -q 'completed OK!' && [ $code = 0 ] || {
  grep -iE 'error|failed|denied' "$directory/said" | tail -1 >&2
  [ $code != 0 ] || code=98
  exit $code
}
