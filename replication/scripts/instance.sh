# instance.sh: which processes on this host are the mysqld of one instance. Wants $port.
#
# A process belongs to the instance when it is a mysqld that listens on the port, or one that listens on no TCP port
# yet (starting, recovering) and was not started for another port.

port_argument() { tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline" | sed -n 's/^--port=//p' | tail -1; }

mine() {
  for f in $(grep -lxE 'mysqld|mariadbd' /proc/[0-9]*/comm 2>/dev/null); do
    p=${f#/proc/}
    p=${p%/comm}
    read -r _ _ state _ 2>/dev/null <"/proc/$p/stat" || continue
    [ "$state" = Z ] && continue
    theirs=$(printf '%s\n' "$listeners" | grep -F "pid=$p,")
    if [ -n "$theirs" ]; then
      printf '%s\n' "$theirs" | grep -Eq "[:.]$port[[:space:]]" && echo "$p"
      continue
    fi
    other=$(port_argument "$p")
    [ -n "$other" ] && [ "$other" != "$port" ] && continue
    echo "$p"
  done
}

listening() { printf '%s\n' "$listeners" | grep -E "[:.]$port[[:space:]]"; }

look() {
  listeners=$(ss -Hltnp 2>/dev/null)
  pids=$(mine)
}
