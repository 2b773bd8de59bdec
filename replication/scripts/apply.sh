# apply.sh WORKDIR LOGFILE BINDIR LIBDIR VENDOR ERA FLAGS SOCKET QUESTION ANSWER <client.cnf: run a binary log
# of nothing but row events on this host's server; of anything else in it nothing reaches the client.
# QUESTION has two columns, which server it is and which account; ANSWER is what the manager was told.
# The client's option file, with the password, comes through stdin into a file that only this user can read and that
# lives as long as the command. Both exit statuses count: "a | b" alone would hide the first.
set -u
umask 077
task=mha-apply workdir=$1 logfile=$2 bindir=$3 libdir=$4 vendor=$5 era=$6 flags=$7
socket=$8 question=$9 answer=${10}

#include work.sh
one_at_a_time 3600
read_options

#include programs.sh

reader=$(find_program $readers) || exit 92
client=$(find_program $clients) || exit 93
unprivileged "$client"
quiet=
[ "$vendor" != mariadb ] || quiet=--skip-annotate-row-events

# What mysqlbinlog makes of row events, and not a line more: names and texts of users, and whatever else a log may have
# been made to hold, are in comments at most. A line that is neither is an error, for to leave it out would be one.
#
# Between two GTIDs a server before 8.0 takes nothing but SET GTID_NEXT (error 1837): not the version comments that a
# newer mysqlbinlog writes there.
only_rows() {
  LC_ALL=C awk -v unlogged="$flags" -v era="$era" '
    function is_setting(text) { return text ~ /^(@@?(session\.)?[a-z_0-9]+|timestamp|insert_id|last_insert_id) ?= ?(-?[0-9.]+|default|@@?[a-z_]+|\047[a-z0-9_:\/+ -]*\047)$/ }
    function settings(text,  parts, n, i) {
      sub(/^set +/, "", text)
      n = split(text, parts, / *, */)
      for (i = 1; i <= n; i++) if (!is_setting(parts[i]) && parts[i] !~ /^(sql_log_bin|completion_type) ?= ?[@a-z_0-9]+$/) return 0
      return n
    }
    inside && /^[A-Za-z0-9+\/=]+$/ { print; next }
    inside && /^\047(\/\*!\*\/)?;?$/ { inside = 0; print; next }
    inside { exit 1 }
    era == "old" && /^\/\*!80[0-9]* SET @@session\.[a-z_]*=[0-9]*\*\/\/\*!\*\/;$/ { next }
    /^#/ || /^$/ || /^\/\*!\\C [a-z0-9_]+ \*\/\/\*!\*\/;$/ { next }
    /^(BINLOG|SET @binlog_fragment_[0-9]+ ?=) ?\047$/ { inside = 1; print; next }
    /^BINLOG @binlog_fragment_[0-9]+, ?@binlog_fragment_[0-9]+(\/\*!\*\/)?;$/ { print; next }
    /^DELIMITER (\/\*!\*\/)?;$/ || /^\/\*!\*\/;$/ { print; next }
    /^(BEGIN|COMMIT|ROLLBACK|START TRANSACTION)( \/\* added by mysqlbinlog \*\/)? ?((\/\*!\*\/)?;)?$/ { print; next }
    /^\/\*!50718 SET TRANSACTION ISOLATION LEVEL (READ COMMITTED|REPEATABLE READ)\*\/\/\*!\*\/;$/ { print; next }
    /^use `[A-Za-z0-9_$-]+`\/\*!\*\/;$/ { print; next }
    {
      text = tolower($0)
      if (text ~ /sql_log_bin/ && unlogged == "") exit 1
      sub(/( \/\* added by mysqlbinlog \*\/ ?)?(\/\*!\*\/)?;$/, "", text)
      if (sub(/^\/\*m?![0-9]+ /, "", text)) sub(/ ?\*\/$/, "", text)
      if (text ~ /^set / && settings(text)) { print; next }
      exit 1
    }'
}

# Every statement waits for its answer, and through the socket that takes half as long as over TCP with encryption. But
# only if the same account of the same server is found behind it: others have other rights, or other data.
#
# Its option file is the only one that it reads, and no server gets a file of this host from it.
run_client() {
  [ -z "$socket" ] || set -- --host=localhost --protocol=socket --socket="$socket" "$@"
  with_options "$client" --local-infile=0 --binary-mode --batch --skip-column-names --skip-comments "$@"
}

# Before a byte is applied: is it the server that the manager means?
if [ -n "$question" ]; then
  tab=$(printf '\t')
  wanted=$socket socket=""
  said=$(run_client --raw --execute="$question" </dev/null) || exit
  socket=$wanted
  if [ "${said%$tab*}" != "${answer%$tab*}" ]; then
    echo "nothing was applied: another server answers there: $said, not $answer" >&2
    exit 96
  fi
fi
[ -z "$socket" ] || [ "$(run_client --raw --execute="$question" 2>/dev/null </dev/null)" = "$answer" ] || socket=""

# What goes to the client: the rows of the log, as text.
text() {
  {
    $as "$reader" --no-defaults $quiet $flags - <"$logfile"
    echo $? >"$directory/status"
  } | only_rows
  echo $? >"$directory/rows"
}

# A client that gives up ends the reader too, so its own word comes first. All of the log passes through these pipes:
# nothing stands between that is not needed.
text | run_client || exit
# One that was still writing when something else than rows was read was ended by that (SIGPIPE).
case $(cat "$directory/status") in 0 | 141) ;; *) echo "$reader could not read the saved log" >&2; exit 94 ;; esac
[ "$(cat "$directory/rows")" = 0 ] || {
  echo "the saved log holds more than rows: the rest of it was not applied" >&2
  exit 97
}
