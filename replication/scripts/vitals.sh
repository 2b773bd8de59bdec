# vitals.sh PORT PIDFILE ADDRESS DATADIR OWNED DIRECTORY…: how the mysqld of one instance is, and the file systems it
# writes to. Changes nothing.
# Tells what it saw, one "key value" a line; the last line is "done".
#   process PID STATE    the letter of proc(5); supervisor WORD  who would start it again: systemd, mysqld_safe, none, or
#   a program's name;    waits TID COUNT  a thread in uninterruptible sleep, and how often it was ever put to run
#   doubt PID WHY        a server that may be the instance's, and may be another's
#   listening            somebody listens on the port;   pidfile there|absent
#   stranger             who listens there is no mysqld, and of a user who owns none of the directories OWNED
#   disk PATH full|read-only|good|silent
port=$1
pidfile=$2
address=$3
datadir=$4
owned=$5
shift 5

#include instance.sh

supervisor() {
  above=$(parent "$1")
  name=$(tr '\0' ' ' 2>/dev/null <"/proc/$above/cmdline")
  case $name in
    *mysqld_safe* | *mariadbd-safe*) echo mysqld_safe ;;
    *) if [ "$above" = 1 ] || [ "$(cat "/proc/$above/comm" 2>/dev/null)" = systemd ]; then
        if [ -d /run/systemd/system ]; then echo systemd; else echo none; fi
      else
        cat "/proc/$above/comm" 2>/dev/null || echo container
      fi ;;
  esac
}

look
for p in $pids; do
  state=$(sed 's/.*) \(.\).*/\1/' "/proc/$p/stat" 2>/dev/null) || continue
  echo "process $p $state"
  echo "supervisor $(supervisor "$p")"
  for f in $(grep -lE '\) D ' "/proc/$p"/task/[0-9]*/stat 2>/dev/null); do
    t=${f%/stat}
    read -r _ _ runs 2>/dev/null <"$t/schedstat" && echo "waits ${t##*/} $runs"
  done
done
tell_doubts
[ -n "$(listening)" ] && echo "listening $port"
[ -n "$stranger" ] && echo "stranger $port"
if [ -n "$pidfile" ] && [ -e "$pidfile" ]; then echo "pidfile there"; else echo "pidfile absent"; fi
# Without these a disk would be called silent that nobody asked.
command -v timeout >/dev/null && command -v df >/dev/null || set --
for d in "$@"; do
  line=$(timeout 0.5 df -Pk "$d" 2>/dev/null | tail -1)
  if [ -z "$line" ]; then
    [ -d "$d" ] && echo "disk $d silent"
    continue
  fi
  set -- $line
  left=$4
  while [ $# -gt 6 ]; do shift; done
  if awk -v m="$6" '$2 == m {o = $4} END {exit o !~ /(^|,)ro(,|$)/}' /proc/mounts; then
    echo "disk $d read-only"
  elif [ "${left:-0}" -lt 2048 ]; then
    echo "disk $d full"
  else
    echo "disk $d good"
  fi
done
echo done
