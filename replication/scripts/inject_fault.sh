# inject_fault.sh PORT PIDFILE ADDRESS DATADIR OWNED WHAT SECONDS FROM: what a drill, from its address FROM, does to the host
# of a primary. Tells it, one "key value" a line; the last line is "done". Only who is the instance's for certain is touched,
# and what does not end by itself (kill) apart, it is taken back by itself after SECONDS.
port=$1
pidfile=$2
address=$3
datadir=$4
owned=$5
what=$6
seconds=$7
from=$8

#include instance.sh

fail() { echo "cannot $*"; exit; }

# A number may be used again: a process is who it was only as long as it began when it did.
began() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '{ print $20 }'; }

the_one() {
  look
  [ -z "$doubtful" ] || fail "a mysqld runs there that may be another's: $doubtful"
  [ "$(printf '%s\n' "$pids" | grep -c .)" = 1 ] || fail "it is not one mysqld of the instance that runs there, but: $(echo ${pids:-none})"
  kill -0 "$pids" 2>/dev/null || fail "$(id -un) may not signal mysqld, process $pids"
}

case $what in
  kill)
    the_one
    kill -9 "$pids" && echo "killed $pids" ;;
  freeze)
    the_one
    # Whoever wakes it is there before it is stopped.
    setsid sh -c 'sleep "$1"; [ "$(sed "s/.*) //" "/proc/$2/stat" 2>/dev/null | awk "{ print \$20 }")" = "$3" ] && kill -CONT "$2"' \
      wake "$seconds" "$pids" "$(began "$pids")" </dev/null >/dev/null 2>&1 &
    kill -0 $! 2>/dev/null || fail "nothing could be started that wakes it again"
    kill -STOP "$pids" && echo "stopped $pids" ;;
  wake)
    look
    for p in $pids; do
      case $(sed 's/.*) \(.\).*/\1/' "/proc/$p/stat" 2>/dev/null) in T | t) kill -CONT "$p" && echo "woken $p" ;; esac
    done ;;
  ssh-loss)
    set -- $SSH_CONNECTION
    [ $# = 4 ] || fail "sshd does not tell from where this session comes"
    # Behind one address there may be many.
    [ "$1" = "$from" ] || fail "this session comes from $1, and the drill from $from: others may come from there, too"
    [ "$(id -u)" = 0 ] || fail "$(id -un) is not root"
    command -v ip >/dev/null || fail "this host has no ip"
    family=-4
    case $1 in *:*) family=-6 ;; esac
    # By its number: a small host has no /etc/protocols.
    # Each drill has a rule of its own: who takes the last one back must not take back this one.
    rule="to $1 ipproto 6 sport $4 pref $((7000 + $$ % 1000)) blackhole"
    said=$(ip $family rule add $rule 2>&1 && ip $family rule del $rule 2>&1) || fail "ip rule add $rule: $said"
    # Two take it back, each by itself: the second is there before the first puts it up. This answer goes out before.
    back='while ip $0 rule del $1 2>/dev/null; do :; done'
    setsid sh -c 'sleep $(($2 + 6)); '"$back" $family "$rule" "$seconds" </dev/null >/dev/null 2>&1 &
    kill -0 $! 2>/dev/null || fail "nothing could be started that lets SSH in again"
    setsid sh -c 'sleep 1; ip $0 rule add $1; sleep $2; '"$back" $family "$rule" "$seconds" </dev/null >/dev/null 2>&1 &
    echo "closed $1" ;;
  *) fail "$what is nothing that a drill does" ;;
esac
echo done
