# Part of rebuild.sh: start the server by what starts it on this host. It finds itself read-only and replicates from nobody
# where its words are ours to choose; a unit has the option file that fencing writes for that.
held_so="--read-only=1 --loose-super-read-only=1 --loose-skip-slave-start --loose-skip-replica-start"

start_it() {
  look
  [ -z "$pids" ] || { echo "runs already"; return 0; }
  # What is said there is executed.
  [ ! -e "$memory/ran" ] || { is_ours "$memories" && is_ours "$memory" && is_ours "$memory/ran"; } || fail "$memory/ran is not root's"
  if [ -f "$memory/ran/unit" ]; then
    start_unit "$(cat "$memory/ran/unit")"
  elif [ -f "$memory/ran/words" ]; then
    start_words
  else
    unit=$(unit_for_it)
    [ -n "$unit" ] || fail "nothing on this host tells how its mysqld is started; set start_command"
    start_unit "$unit"
  fi
}

start_unit() {
  [ "$word" != open ] || fail "no option file could be written by which $1 starts its mysqld read-only"
  said=$(systemctl start "$1" 2>&1 9>&-) || fail "systemctl start $1: $(printf '%s\n' "$said" | head -1)"
  echo "started $1"
}

start_words() {
  as=$(cat "$memory/ran/uid") group=$(cat "$memory/ran/gid") exe=$(cat "$memory/ran/exe") errors=$(cat "$memory/ran/errors")
  [ "${as:-0}" != 0 ] || fail "$exe ran as root, and nothing is started so; set start_command"
  [ -x "$exe" ] || fail "$exe is not there any more; set start_command"
  # Where it told its errors: opened by its own user, or by root where only root can write.
  out=/dev/null
  if [ -f "$errors" ] && [ ! -L "$errors" ]; then
    if [ -O "$errors" ] && [ -z "$(find "${errors%/*}/." -maxdepth 0 -perm /022)" ] && [ -O "${errors%/*}/." ]; then
      out=$errors errors=
    elif [ "$(stat -c %u "$errors")" != "$as" ]; then
      errors=
    fi
  else
    errors=
  fi
  {
    tail -z -n +2 "$memory/ran/words" | grep -zvxE -e '--(read-only=1|loose-super-read-only=1|loose-skip-slave-start|loose-skip-replica-start)'
    case $exe in *mysqld | *mariadbd) printf '%s\0' $held_so ;; *) case $(tr '\0' ' ' <"$memory/ran/words") in *d_safe* | *d-safe*) printf '%s\0' $held_so ;; esac ;; esac
  } | (cd / && xargs -0 setsid --fork setpriv --reuid="$as" --regid="$group" --init-groups \
    sh -c '[ -z "$0" ] || exec >>"$0" 2>&1; exec "$@"' "$errors" "$exe") >>"$out" 2>&1 9>&- || fail "$exe could not be started"
  echo "started $exe"
}
