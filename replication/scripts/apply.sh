# apply.sh WORKDIR LOGFILE BINDIR LIBDIR VENDOR ERA FLAGS SOCKET QUESTION ANSWER <client.cnf: run a binary log on the
# server of this host.
# The client's option file, with the password, comes through stdin into a file that only this user can read and that
# lives as long as the command. Both exit statuses count: "a | b" alone would hide the first.
set -u
umask 077
workdir=$1 logfile=$2 bindir=$3 libdir=$4 vendor=$5 era=$6 flags=$7
socket=$8 question=$9 answer=${10}

# One application at a time: that of a manager which died may still be running here.
command -v flock >/dev/null && { exec 9>>"$workdir/mha-apply.lock" && flock -w 3600 9 || exit 95; }

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

# Between two GTIDs a server before 8.0 takes nothing but SET GTID_NEXT (error 1837): not the version comments that a
# newer mysqlbinlog writes there (they are made plain comments, exactly where it writes them), and no comments, which
# a newer client sends by themselves.
suit_old_server() {
  LC_ALL=C sed '/^# immediate_commit_timestamp=/{
    :next
    n
    /^\/\*!80[0-9]* SET @@session\.[a-z_]*=[0-9]*\*\/\/\*!\*\/;$/{
      s/^/# /
      b next
    }
  }'
}

read_log() {
  "$reader" --no-defaults $flags "$logfile"
  echo $? >"$directory/status"
}

# Every statement waits for its answer, and through the socket that takes half as long as over TCP with encryption. But
# only if the same account of the same server is found behind it: others have other rights, or other data.
near=""
found=$("$client" --defaults-extra-file="$directory/client.cnf" --host=localhost --protocol=socket --socket="$socket" \
  --batch --skip-column-names --raw --execute="$question" 2>/dev/null </dev/null)
[ -n "$socket" ] && [ "$found" = "$answer" ] && near=yes

run_client() {
  [ -z "$near" ] || set -- --host=localhost --protocol=socket --socket="$socket" "$@"
  "$client" --defaults-extra-file="$directory/client.cnf" --binary-mode --batch "$@"
}

# All of the log passes through these pipes: nothing stands between that is not needed.
if [ "$era" = old ]; then
  read_log | suit_old_server | run_client --skip-comments
else
  read_log | run_client
fi
applied=$?
# A client that gives up ends the reader too, so its own word comes first.
[ "$applied" = 0 ] || exit "$applied"
[ "$(cat "$directory/status")" = 0 ] || { echo "$reader could not read the saved log" >&2; exit 94; }
