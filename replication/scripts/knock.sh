# knock.sh SECONDS ADDRESS PORT SSHPORT [SSHADDRESS SSHPORT ADDRESS PORT]…: what comes back to this host from a server, and from its
# neighbours, so that a silence can be told from a host that reaches nobody. For bash; changes nothing.
# Tells what it saw as soon as it saw it, one "WHO WHAT" a line, WHO of server, host, other; the last line is "done".
#   accepted             the port took the connection (its kernel lives);   refused   it did not (its kernel lives)
#   greeted              somebody said something first, as mysqld and sshd do
# Ends with 9 where it cannot look: a program is missing, or this bash opens no connections.
exec 2>/dev/null
for tool in timeout head wc sleep; do
  command -v "$tool" >/dev/null || exit 9
done
seconds=$1
address=$2
port=$3
sshport=$4
shift 4

# A server counts who leaves before the end of the handshake, and at max_connect_errors it takes nothing more from that
# host. It does not count who is refused: a login, of protocol 4.1, of a user that is nobody.
login='\052\0\0\001\0\202\0\0\0\0\0\001\041\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0mha-look\0\0'

knock() { # WHO ADDRESS PORT [LOGIN]
  LC_ALL=C timeout "$seconds" bash -c '
    exec 3<>"/dev/tcp/$0/$1" && echo accepted && [ "$(head -c 1 <&3 | wc -c)" -gt 0 ] && echo greeted &&
      [ -n "$2" ] && printf "$2" >&3 && cat <&3 >/dev/null' "$2" "$3" "${4:-}" 2>&1 </dev/null |
    while read -r said; do
      case $said in
        accepted | greeted) echo "$1 $said" ;;
        *refused*) echo "$1 refused" ;;
        *"No such file"*) echo "none none" ;;
      esac
    done
}

other() { # a neighbour: its sshd, for a server counts those who do not log in; that one where no sshd is to be reached
  heard=$(seconds=0.5 knock other "$1" "$2")
  [ -n "$heard" ] || heard=$(knock other "$3" "$4" "$login")
  [ -n "$heard" ] && echo "$heard"
}

everybody() {
  knock server "$address" "$port" "$login" &
  first=$!
  # A server that lives, or is down on a host that lives, says so at once, and nobody else need be asked.
  for _ in 1 2 3 4 5 6; do
    sleep 0.05
    kill -0 "$first" || { echo end; return; }
  done
  while [ $# -gt 0 ]; do
    other "$1" "$2" "$3" "$4" &
    shift 4
  done
  # A lost packet is sent again only after a second.
  knock host "$address" "$sshport" &
  sleep 0.4
  knock host "$address" "$sshport" &
  wait
  echo end
}

exec 4< <(everybody "$@")
while read -r who what <&4; do
  [ "$who" = end ] && break
  [ "$who" = none ] && exit 9
  echo "$who $what"
  case "$who $what" in "server greeted" | "server refused") break ;; esac
done
echo done
