# instance.sh: which processes on this host are the mysqld of one instance. Wants $port.
#
# A process belongs to the instance when it is a mysqld that listens on the port, or one that listens on no TCP port
# yet (starting, recovering) and was not started for another port.

port_argument() { tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline" | sed -n 's/^--port=//p' | tail -1; }
parent() { sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null; }

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

# Whether every thread that is left has a kill pending: it hangs in the kernel, on a disk mostly, and runs no more.
dying() {
  some=
  for t in "/proc/$1"/task/[0-9]*/status; do
    case $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "$t" 2>/dev/null) in Z | X | "") continue ;; esac
    grep -Eq '^(SigPnd|ShdPnd):.*[13579bdf]..$' "$t" || return 1
    some=1
  done
  [ -n "$some" ]
}

# Servers that were killed and hang. One whose first thread has ended is a zombie, and nobody's by its sockets.
hanging() {
  for f in $(grep -lxE 'mysqld|mariadbd' /proc/[0-9]*/comm 2>/dev/null); do
    p=${f#/proc/}
    dying "${p%/comm}" && echo "${p%/comm}"
  done
}

listening() { printf '%s\n' "$listeners" | grep -E "[:.]$port[[:space:]]"; }

look() {
  listeners=$(ss -Hltnp 2>/dev/null)
  pids=$(mine)
}
