# apply.sh WORKDIR LOGFILE BINDIR LIBDIR VENDOR ERA FLAGS SOCKET QUESTION ANSWER [SITTING…|SECONDS] <client.cnf: run a
# binary log on this host's server.
# A LOGFILE called - comes in pieces, each of whole transactions: behind client.cnf and an empty line, stdin names each
# one when all of it is here, and at last a dot. SECONDS may pass from one to the next. Without the dot what came is
# applied, and that there is more is an error.
# A SITTING is a part of the log for a session of its own: where its description begins and ends, and it itself.
# The client's option file, with the password, comes through stdin into a file that only this user can read and that
# lives as long as the command. Both exit statuses count: "a | b" alone would hide the first.
set -u
umask 077
workdir=$1 logfile=$2 bindir=$3 libdir=$4 vendor=$5 era=$6 flags=$7
socket=$8 question=$9 answer=${10}

#include own.sh

workdir=$(own_directory "$workdir") || exit 90
# One application at a time: that of a manager which died may still be running here.
command -v flock >/dev/null && { exec 9>>"$workdir/mha-apply.lock" && flock -w 3600 9 || exit 95; }

directory=$(mktemp -d "$workdir/mha-apply.XXXXXX") || exit 90
trap 'rm -rf "$directory"' EXIT
# PIPE: whoever would read the last words may be gone, and the password must go all the same.
trap 'exit 129' HUP INT TERM PIPE
while IFS= read -r line && [ -n "$line" ]; do
  printf '%s\n' "$line" || exit 91
done >"$directory/client.cnf" || exit 91

#include programs.sh

reader=$(find_program $readers) || exit 92
client=$(find_program $clients) || exit 93

# Between two GTIDs a server before 8.0 takes nothing but SET GTID_NEXT (error 1837): neither the version comments that
# a newer mysqlbinlog writes there, nor its plain ones, which a newer client sends by themselves. Within statements all
# stays; only a text of which one line ends in the delimiter and the next begins with # could be taken for what it is not.
suit_old_server() {
  LC_ALL=C sed ':between
    /^#/ b drop
    /^\/\*!80[0-9]* SET @@session\.[a-z_]*=[0-9]*\*\/\/\*!\*\/;$/ b drop
    :inside
    /\/\*!\*\/;$/ {
      n
      b between
    }
    n
    b inside
    :drop
    $ d
    N
    s/^[^\n]*\n//
    b between'
}

# Every statement waits for its answer, and through the socket that takes half as long as over TCP with encryption. But
# only if the same account of the same server is found behind it: others have other rights, or other data.
run_client() {
  [ -z "$socket" ] || set -- --host=localhost --protocol=socket --socket="$socket" "$@"
  "$client" --defaults-extra-file="$directory/client.cnf" --binary-mode --batch --skip-column-names "$@"
}

[ -z "$socket" ] || [ "$(run_client --raw --execute="$question" 2>/dev/null </dev/null)" = "$answer" ] || socket=""

# A shell reads a line from a pipe and nothing behind it. Who sends them may be gone without a word.
next_piece() { $limit sh -c 'IFS= read -r name && printf "%s\n" "$name"'; }

give_pieces() {
  limit=""
  timeout 1 true 2>/dev/null && limit="timeout $1"
  while piece=$(next_piece); do
    [ "$piece" != . ] || return 0
    cat "$piece" && rm -f "$piece" || return
  done
  : >"$directory/short"
}

read_log() {
  if [ "$1" = - ]; then
    give_pieces "$2" | "$reader" --no-defaults --local-load="$directory" $flags -
  else
    "$reader" --no-defaults --local-load="$directory" $flags "$1"
  fi
  echo $? >"$directory/status"
  echo 'SELECT CONNECTION_ID();'
}

# apply LOG [SECONDS]: in one session, whose number is left in a file. A client that gives up ends the reader too, so
# its own word comes first. All of the log passes through these pipes: nothing stands between that is not needed.
apply() {
  if [ "$era" = old ]; then
    read_log "$@" | suit_old_server | run_client >"$directory/session" || exit
  else
    read_log "$@" | run_client >"$directory/session" || exit
  fi
  [ "$(cat "$directory/status")" = 0 ] || { echo "$reader could not read the saved log" >&2; exit 94; }
  [ ! -e "$directory/short" ] || { echo "the rest of the saved log did not come" >&2; exit 94; }
}

piece() { tail -c "+$(($1 + 1))" "$logfile" | head -c "$(($2 - $1))"; }

shift 10
if [ "$logfile" = - ]; then
  apply - "$1"
  exit
fi
[ $# -gt 0 ] || apply "$logfile"
for sitting in "$@"; do
  IFS=: read -r described until start end <<WORDS
$sitting
WORDS
  { piece 0 4; piece "$described" "$until"; piece "$start" "$end"; } >"$directory/sitting"
  apply "$directory/sitting"
  # The server gives a prepared XA transaction free when it has noticed that its session is over.
  query="SELECT COUNT(*) FROM information_schema.processlist WHERE id = $(tail -n 1 "$directory/session")"
  while open=$(run_client -e "$query") || exit; [ "$open" != 0 ]; do sleep 0.01; done
done
