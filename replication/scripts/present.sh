# present.sh PORT PIDFILE ADDRESS DATADIR OWNED: whether a mysqld of one instance is on this host. Tells it, one "key
# value" a line; the last line is "done".
port=$1
pidfile=$2
address=$3
datadir=$4
owned=$5

#include instance.sh

look
for p in $pids; do dying "$p" || echo "process $p"; done
tell_doubts
[ -n "$(listening)" ] && echo "listening $port"
[ -n "$stranger" ] && echo "stranger $port"
echo done
