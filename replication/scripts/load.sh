# load.sh WORKDIR BINDIR LIBDIR VENDOR QUESTION ANSWER: run the statements of a dump on this host's server. Through stdin come
# the lines of the client's option file, an empty one, and the statements. QUESTION tells which server it is: with another
# ANSWER than the manager was told nothing is run.
set -u
umask 077
workdir=$1 bindir=$2 libdir=$3 vendor=$4 question=$5 answer=$6

#include own.sh

workdir=$(own_directory "$workdir") || exit 90
# One at a time: that of a manager which died may still be running here.
command -v flock >/dev/null && { exec 9>>"$workdir/mha-load.lock" && flock -w 600 9 || exit 95; }
directory=$(mktemp -d "$workdir/mha-load.XXXXXX") || exit 90
trap 'rm -rf "$directory"' EXIT
trap 'exit 129' HUP INT TERM PIPE
while IFS= read -r line && [ -n "$line" ]; do
  printf '%s\n' "$line" || exit 91
done >"$directory/client.cnf" || exit 91

#include programs.sh

client=$(find_program $clients) || exit 93
unprivileged "$client"
run_client() { with_options "$client" --local-infile=0 --binary-mode --batch --skip-column-names --skip-comments "$@"; }
said=$(run_client --raw --execute="$question" </dev/null) || exit
if [ "$said" != "$answer" ]; then
  echo "nothing was loaded: another server answers there: $said, not $answer" >&2
  exit 96
fi
run_client
