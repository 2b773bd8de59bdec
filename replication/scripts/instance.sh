# instance.sh: which processes on this host are the mysqld of one instance. Wants $port and $owned.
#
# Without these nothing that is said below could be believed: no view is better than a wrong one.
for tool in grep sed tr head tail sort cat awk ls; do
  command -v "$tool" >/dev/null || { echo "this host has no $tool" >&2; exit 9; }
done
[ -r /proc/self/stat ] || { echo "this host has no /proc" >&2; exit 9; }

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

listening() { [ -n "$stranger" ] || printf '%s\n' "$listeners" | grep -E "[:.]$port[[:space:]]"; }

# Who listens on TCP, as ss tells it; without ss from the kernel's own tables (proc(5)), and the servers' open files.
listening_sockets() {
  if command -v ss >/dev/null; then
    ss -Hltnp 2>/dev/null
    return
  fi
  {
    for f in $(grep -lxE 'mysqld|mariadbd' /proc/[0-9]*/comm 2>/dev/null); do
      p=${f#/proc/}
      p=${p%/comm}
      ls -l "/proc/$p/fd" 2>/dev/null | sed -n "s/.*socket:\[\([0-9]*\)\].*/\1 $p/p"
    done
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null
  } | awk '
    NF == 2 { owner[$1] = $2 }
    $4 == "0A" {
      n = split($2, at, ":"); number = 0
      for (i = 1; i <= 4; i++) number = number * 16 + index("0123456789ABCDEF", substr(at[n], i, 1)) - 1
      print "LISTEN 0 0 *:" number " *:* pid=" owner[$10] ","
    }'
}

# The owners of the instance's directories ($owned, comma separated).
owners() {
  printf '%s\n' "$owned" | tr , '\n' | while IFS= read -r d; do
    [ -n "$d" ] && [ -d "$d" ] && ls -nd -- "$d/." | awk '{ print $3 }'
  done
}

# Of which users the sockets are that listen on the port; the kernel tells it to everybody (ss, or proc(5), net/tcp).
listening_users() {
  if command -v ss >/dev/null; then
    ss -Hltne 2>/dev/null | grep -E "[:.]$port[[:space:]]" | sed -n 's/.*uid:\([0-9]*\).*/\1/p; t; s/.*/0/p'
    return
  fi
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$port" '
    $4 == "0A" {
      n = split($2, at, ":"); number = 0
      for (i = 1; i <= 4; i++) number = number * 16 + index("0123456789ABCDEF", substr(at[n], i, 1)) - 1
      if (number == port + 0) print $8
    }'
}

# Whether whoever listens on the port is somebody else: each such socket is of a user who is neither root, nor an owner of
# the data, nor runs a mysqld of the instance. Where the data is nobody's nothing is known.
foreign() {
  known=$(owners)
  [ -n "$known" ] || return 1
  for p in $pids; do
    known="$known $(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$p/status" 2>/dev/null)"
  done
  some=
  for u in $(listening_users); do
    case " 0 $(echo $known) " in *" $u "*) return 1 ;; esac
    some=1
  done
  [ -n "$some" ]
}

look() {
  listeners=$(listening_sockets)
  pids=$(mine)
  stranger=
  foreign && stranger=1
}
