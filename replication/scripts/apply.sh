# apply.sh WORKDIR LOGFILE BINDIR LIBDIR VENDOR FLAGS <client.cnf: run a binary log on the server of this host.
# The client's option file, with the password, comes through stdin into a file that only this user can read and that
# lives as long as the command. Both exit statuses count: "a | b" alone would hide the first.
set -u
umask 077
workdir=$1 logfile=$2 bindir=$3 libdir=$4 vendor=$5 flags=$6

directory=$(mktemp -d "$workdir/mha-apply.XXXXXX") || exit 90
trap 'rm -rf "$directory"' EXIT
trap 'exit 129' HUP INT TERM
cat >"$directory/client.cnf" || exit 91

find_program() {
  for name in "$@"; do
    [ -n "$bindir" ] && [ -x "$bindir/$name" ] && echo "$bindir/$name" && return
    command -v "$name" && return
  done
  echo "none of $* is on this host; set client_bindir" >&2
  return 1
}

[ -n "$libdir" ] && export LD_LIBRARY_PATH="$libdir"
if [ "$vendor" = mariadb ]; then
  reader=$(find_program mariadb-binlog mysqlbinlog) || exit 92
  client=$(find_program mariadb mysql) || exit 93
else
  reader=$(find_program mysqlbinlog) || exit 92
  client=$(find_program mysql) || exit 93
fi

{
  "$reader" --no-defaults $flags "$logfile"
  echo $? >"$directory/status"
} | "$client" --defaults-extra-file="$directory/client.cnf" --binary-mode --batch
applied=$?
# A client that gives up ends the reader too, so its own word comes first.
[ "$applied" = 0 ] || exit "$applied"
[ "$(cat "$directory/status")" = 0 ] || { echo "$reader could not read the saved log" >&2; exit 94; }
