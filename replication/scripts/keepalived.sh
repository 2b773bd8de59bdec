# keepalived.sh VERB SUDO CONFIG PIDFILE: the keepalived of this host.
#   look    whether it runs, and how it is configured
#   stop    end it; it lets its addresses go and tells the others
#   pause   the same, and remember that `resume` shall start it again
#   start   start it
#   resume  start it if it was paused, and if what it is configured for leaves the address where it is
# Each verb looks first, so it may be repeated. Tells one "key value" a line; the last line is "done".
verb=$1 sudo=$2 config=$3 pidfile=$4
PATH=$PATH:/usr/sbin:/sbin
mark=$pidfile.paused

pid() {
  found=$(cat "$pidfile" 2>/dev/null)
  if [ "$(cat "/proc/$found/comm" 2>/dev/null)" = keepalived ]; then echo "$found"; else pgrep -o -x keepalived; fi
}

by_systemd() { [ -d /run/systemd/system ] && systemctl cat keepalived.service >/dev/null 2>&1; }

# Without both, one that starts takes the address from the host that has it.
stays_backup() {
  grep -Eq '^[[:space:]]*state[[:space:]]+BACKUP' "$config" && grep -Eq '^[[:space:]]*nopreempt' "$config" &&
    ! grep -Eq '^[[:space:]]*state[[:space:]]+MASTER' "$config"
}

end() {
  p=$(pid)
  [ -n "$p" ] || return 0
  if by_systemd; then $sudo systemctl stop keepalived; else $sudo kill "$p"; fi
  i=0
  while [ -n "$(pid)" ] && [ $i -lt 60 ]; do
    sleep 0.05
    i=$((i + 1))
  done
  p=$(pid)
  # What it left behind when killed is taken off by address.sh.
  [ -z "$p" ] || { $sudo pkill -9 -x keepalived; echo "killed $p"; }
  echo "stopped 1"
}

begin() {
  [ -z "$(pid)" ] || return 0
  if by_systemd; then
    said=$($sudo systemctl start keepalived 2>&1) && echo "started 1" || echo "failed $said"
  else
    said=$($sudo keepalived -f "$config" -p "$pidfile" 2>&1) && echo "started 1" || echo "failed $said"
  fi
}

command -v keepalived >/dev/null || echo "missing keepalived is not installed"
[ -r "$config" ] || echo "missing $config cannot be read"
case $verb in
  stop) end ;;
  pause)
    if [ -n "$(pid)" ]; then
      $sudo touch "$mark"
      end
    fi
    ;;
  start)
    begin
    $sudo rm -f "$mark"
    ;;
  resume)
    if [ -e "$mark" ] && ! stays_backup; then
      echo "kept $config has no 'state BACKUP' with 'nopreempt', so starting it would take the address away"
    elif [ -e "$mark" ]; then
      begin
      $sudo rm -f "$mark"
    fi
    ;;
esac
[ -z "$(pid)" ] || echo "running $(pid)"
stays_backup 2>/dev/null && echo "backup 1"
echo done
