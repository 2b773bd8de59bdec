# load.sh WORKDIR BINDIR LIBDIR VENDOR QUESTION ANSWER: run the statements of a dump on this host's server. Through stdin come
# the lines of the client's option file, an empty one, and the statements. QUESTION tells which server it is: with another
# ANSWER than the manager was told nothing is run.
set -u
umask 077
task=mha-load workdir=$1 bindir=$2 libdir=$3 vendor=$4 question=$5 answer=$6

#include work.sh
one_at_a_time 600
read_options

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
