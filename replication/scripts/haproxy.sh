# haproxy.sh SOCKET STATEFILE <commands: send commands to HAProxy's admin socket on this host and print its answer.
# With a STATEFILE the states of all servers are then kept there, whole or not at all, for HAProxy's next start.
socket=$1 statefile=$2

ask() {
  if command -v socat >/dev/null; then
    socat -t 5 - "UNIX-CONNECT:$socket"
  elif command -v perl >/dev/null; then
    perl -e 'use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$ARGV[0]: $!\n";
      $s->print($_) while defined($_ = <STDIN>); $s->shutdown(1); print while defined($_ = <$s>)' "$socket"
  elif command -v python3 >/dev/null; then
    python3 -c 'import shutil, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.stdin.buffer.read()); s.shutdown(1)
shutil.copyfileobj(s.makefile("rb"), sys.stdout.buffer)' "$socket"
  else
    echo "none of socat, perl and python3 is on this host" >&2
    return 1
  fi
}

ask || exit 90
[ -n "$statefile" ] || exit 0
# HAProxy's own user may write in that directory: with -C only a file that is new is opened, and no link is followed.
rm -f "$statefile.part" && set -C && echo "show servers state" | ask >"$statefile.part" &&
  mv -fT "$statefile.part" "$statefile" || exit 91
