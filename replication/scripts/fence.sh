# fence.sh PORT PIDFILE: make sure that the mysqld of one instance does not serve again on this host.
# Tells what it found and did, one "key value" a line; the last line is "done".
port=$1
pidfile=$2

#include instance.sh

look
if [ -s "$pidfile" ]; then
  p=$(cat "$pidfile" 2>/dev/null)
  case $(cat "/proc/$p/comm" 2>/dev/null) in mysqld | mariadbd) pids="$pids $p" ;; esac
fi

# Supervisors go first, or they would start it again: systemd's unit is masked until the next boot.
if [ -d /run/systemd/system ]; then
  units=""
  for p in $pids; do
    units="$units $(sed -n 's#.*/\([^/]*\.service\).*#\1#p' "/proc/$p/cgroup" 2>/dev/null | head -1)"
  done
  if [ -z "$(echo $units)" ]; then
    for u in mysql mysqld mariadb; do
      case $(systemctl show -p ActiveState --value "$u" 2>/dev/null) in
        active | activating | failed) units="$units $u.service" ;;
      esac
    done
  fi
  for u in $(printf '%s\n' $units | sort -u); do
    systemctl mask --runtime "$u" >/dev/null 2>&1 && echo "masked $u"
  done
fi
for f in $(grep -alE '(mysqld|mariadbd)[_-]safe' /proc/[0-9]*/cmdline 2>/dev/null); do
  p=${f#/proc/}
  p=${p%/cmdline}
  other=$(port_argument "$p")
  [ -n "$other" ] && [ "$other" != "$port" ] && continue
  kill -9 "$p" 2>/dev/null && echo "supervisor $p"
done

look
for p in $pids; do
  kill -9 "$p" 2>/dev/null && echo "killed $p"
done
# The socket of a killed process closes a moment after it.
i=0
while look; [ -n "$pids$(listening)" ] && [ $i -lt 100 ]; do
  # What only hangs will not serve again; waiting for its disk would keep everybody waiting.
  hang=$([ $i -ge 4 ] && hanging)
  if [ -n "$hang" ] && [ -z "$(printf '%s\n' $pids | grep -vxF "$hang")" ] &&
    [ -z "$(listening | grep -F pid= | grep -vF "$(printf 'pid=%s,\n' $hang)")" ]; then
    for p in $hang; do echo "dying $p"; done
    echo done
    exit
  fi
  sleep 0.05
  i=$((i + 1))
done
for p in $pids; do echo "left $p"; done
[ -n "$(listening)" ] && echo "listening $port"
echo done
