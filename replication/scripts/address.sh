# address.sh VERB SUDO INTERFACE OWN LABEL WAIT COUNT POLICY ADDRESS/LENGTH…: virtual addresses of this host.
#   look      where each of them is here
#   release   take them off, from whatever interface they are on
#   acquire   put them on INTERFACE (empty: the one with the address OWN) and tell the neighbours
#   announce  tell the neighbours of those that are here
# Each verb looks first and does only what is not done, so it may be repeated. Tells what it found and did, one
# "key address value" a line; the last line is "done". $NEIGHBOURS is the text of neighbours.pl.
#
# WAIT: seconds to ask whether somebody else has an address. COUNT: how often the neighbours are told.
# POLICY: refuse or go_on when somebody has it. SUDO stands before the programs that need root's rights.
verb=$1 sudo=$2 interface=$3 own=$4 label=$5 wait=$6 count=$7 policy=$8
shift 8
PATH=$PATH:/usr/sbin:/sbin
# Seconds between two announcements. Linux ignores one for an entry that changed within the last second
# (arp(7), locktime), so the last must come well after that.
pause=0.4

command -v ip >/dev/null || { echo "missing - ip: install iproute2"; echo done; exit; }

host_bits() { case $1 in *:*) echo 128 ;; *) echo 32 ;; esac; }

# Lines "INTERFACE ADDRESS/LENGTH [secondary]" of one address on this host.
places() {
  ip -o addr show to "$1/$(host_bits "$1")" |
    sed -n 's/^[0-9]*: *\([^ @]*\).* inet6* \([^ ]*\)\(.* secondary\)\{0,1\}.*/\1 \2 \3/p'
}

tell_places() { places "$1" | while read -r where what _; do echo "has $1 $where"; done; }

take_off() {
  places "$1" | while read -r where what secondary; do
    # The first address of a subnet takes the others with it when it goes, the host's own among them.
    if [ -z "$secondary" ] && ip -o -4 addr show dev "$where" | grep -q ' secondary '; then
      $sudo sysctl -q -w "net.ipv4.conf.$where.promote_secondaries=1" || continue
    fi
    said=$($sudo ip addr del "$what" dev "$where" 2>&1) && echo "removed $1 $where" || echo "failed $1 $said"
  done
}

index_and_mac() {
  found=$(ip -o link show dev "$interface" | sed -n 's/^\([0-9]*\):.* link\/ether \([0-9a-f:]*\).*/\1 \2/p')
  echo "${found:-0 00:00:00:00:00:00}"
}

# Who else has the address: its MAC, nothing when nobody has, "unknown" when nobody could be asked.
who_has() {
  if command -v perl >/dev/null; then
    $sudo perl -e "$NEIGHBOURS" probe $link "$1" 3 "$wait" 2>/dev/null || echo unknown
  elif [ "$(host_bits "$1")" = 32 ] && arping -V 2>&1 | grep -q iputils; then
    timeout "$wait" $sudo arping -D -f -w 2 -I "$interface" "$1" | sed -n 's/.*\[\([0-9A-Fa-f:]*\)\].*/\1/p' | head -1
  else
    echo unknown
  fi
}

announce() {
  if command -v perl >/dev/null; then
    $sudo perl -e "$NEIGHBOURS" announce $link "$1"
  elif [ "$(host_bits "$1")" = 32 ] && command -v arping >/dev/null; then
    $sudo arping -q -U -c 1 -I "$interface" "$1" && $sudo arping -q -A -c 1 -I "$interface" "$1"
  else
    return 1
  fi
}

announce_again() {
  i=1
  while [ $i -lt "$count" ]; do
    sleep "$pause"
    # It may have moved on meanwhile.
    [ -n "$(places "$1")" ] || return
    announce "$1"
    i=$((i + 1))
  done
}

put_on() { # ADDRESS ADDRESS/LENGTH
  case $1 in
    *:*) set -- "$1" "$2" nodad ;;
    *)
      full="$interface:$label"
      # An interface's name and label have 15 characters (IFNAMSIZ).
      if [ -z "$label" ] || [ ${#full} -gt 15 ]; then set -- "$1" "$2"; else set -- "$1" "$2" label "$full"; fi
      case $2 in */3[12]) ;; *) set -- "$@" brd + ;; esac
      ;;
  esac
  address=$1
  shift
  said=$($sudo ip addr add "$@" dev "$interface" 2>&1) && echo "added $address $interface" ||
    echo "failed $address $said"
}

# Tell of one address that is here, several times.
tell_neighbours() {
  said=$(announce "$1" 2>&1) && echo "announced $1" || echo "silent $1 $said"
  # Nobody waits for the others; sshd waits for whoever holds its output open.
  announce_again "$1" </dev/null >/dev/null 2>&1 &
}

acquire() {
  [ -n "$interface" ] || interface=$(places "$own" | head -1 | cut -d' ' -f1)
  if [ -z "$interface" ]; then
    echo "missing $own no interface has this server's address; set vip_interface"
    return
  fi
  if [ -z "$(ip -o link show dev "$interface" up 2>/dev/null)" ]; then
    echo "missing $interface the interface is not there or not up"
    return
  fi
  link=$(index_and_mac)
  # Everybody is asked for every address before any is put on: all come, or none.
  taken=$(
    for each in "$@"; do
      address=${each%/*}
      [ -n "$(places "$address")" ] && continue
      { who=$(who_has "$address"); [ -z "$who" ] || echo "taken $address $who"; } &
    done
    wait
  )
  [ -z "$taken" ] || printf '%s\n' "$taken"
  [ "$policy" = go_on ] || [ -z "$(printf '%s\n' "$taken" | grep -v -e ' unknown$' -e '^$')" ] || return
  for each in "$@"; do
    address=${each%/*}
    [ -n "$(places "$address")" ] || put_on "$address" "$each"
    [ -z "$(places "$address")" ] || tell_neighbours "$address"
  done
}

announce_all() {
  for each in "$@"; do
    interface=$(places "${each%/*}" | head -1 | cut -d' ' -f1)
    [ -n "$interface" ] || continue
    link=$(index_and_mac)
    tell_neighbours "${each%/*}"
  done
}

case $verb in
  release) for each in "$@"; do take_off "${each%/*}"; done ;;
  acquire) acquire "$@" ;;
  announce) announce_all "$@" ;;
esac
for each in "$@"; do tell_places "${each%/*}"; done
echo done
