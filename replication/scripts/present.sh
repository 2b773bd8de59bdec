# present.sh PORT PIDFILE OWNED: whether a mysqld of one instance is on this host. Tells it, one "key value" a line; the last
# line is "done".
port=$1
pidfile=$2
owned=$3

#include instance.sh

look
if [ -s "$pidfile" ]; then
  p=$(cat "$pidfile" 2>/dev/null)
  case $(cat "/proc/$p/comm" 2>/dev/null) in mysqld | mariadbd) pids="$pids $p" ;; esac
fi
for p in $pids; do dying "$p" || echo "process $p"; done
[ -n "$(listening)" ] && echo "listening $port"
[ -n "$stranger" ] && echo "stranger $port"
echo done
