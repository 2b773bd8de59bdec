# instance.sh: which processes on this host are the mysqld of one instance, and which are somebody else's. Wants $port;
# $pidfile, $address, $datadir and $owned are what is known of the instance, each may be empty.
#
# Without these nothing that is said below could be believed: no view is better than a wrong one.
for tool in grep sed tr head tail sort cat awk ls readlink; do
  command -v "$tool" >/dev/null || { echo "this host has no $tool" >&2; exit 9; }
done
[ -r /proc/self/stat ] || { echo "this host has no /proc" >&2; exit 9; }

#include options.sh

parent() { sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null; }

# Whether a process descends from another: mysqld_safe may have a shell of its own between itself and mysqld.
descends() {
  above=$1
  for _ in 1 2 3 4; do
    above=$(parent "$above")
    [ "$above" = "$2" ] && return 0
    [ "${above:-0}" -gt 1 ] || return 1
  done
  return 1
}

# Every server that lives, whosever it is.
servers() {
  for f in $(grep -lxE 'mysqld|mariadbd' /proc/[0-9]*/comm 2>/dev/null); do
    s=${f#/proc/}
    s=${s%/comm}
    read -r _ _ state _ 2>/dev/null <"/proc/$s/stat" || continue
    [ "$state" = Z ] || echo "$s"
  done
}

depth() { sed -n 's/^NSpid:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null | awk '{ print NF }'; }

# A process of another network, as in a container: its port 3306 is not this host's. Which network another user's process
# has is not shown; whether it has numbers of its own is.
far() {
  net=$(readlink "/proc/$1/ns/net" 2>/dev/null)
  if [ -n "$net" ]; then
    [ "$net" != "$(readlink /proc/self/ns/net)" ]
  else
    [ "$(depth "$1")" != "$(depth self)" ]
  fi
}

# Whether a server's data is the instance's: yes, no, or nothing. mysqld works in its data directory; where that is not
# shown, as to another user, the kernel tells whose files are locked (proc(5)), and InnoDB and Aria lock theirs.
at_home() { # PID ROOT
  [ -n "$datadir" ] || return
  if [ -e "/proc/$1/cwd/." ]; then
    [ "/proc/$1/cwd/." -ef "$2$datadir/." ] && echo yes && return
    # One that has only just begun is not in any.
    for f in ibdata1 aria_log_control auto.cnf mysql.ibd; do [ -e "/proc/$1/cwd/$f" ] && echo no && return; done
  fi
  {
    ls -i "$2$datadir" "$2$datadir/mysql" 2>/dev/null
    echo "[locks]"
    cat /proc/locks 2>/dev/null
  } | awk -v p="$1" '
    $1 == "[locks]" { locks = 1; next }
    !locks { if ($1 ~ /^[0-9]+$/) { files[$1] = 1; some = 1 } next }
    $5 == p { split($6, at, ":"); held = 1; if (at[3] in files) ours = 1 }
    END { if (ours) print "yes"; else if (held && some) print "no" }'
}

# Whether the pid file that is known names it, by its number here or in a container.
named_by_pid_file() {
  # Who runs the server may put a pipe there, which would hold this up.
  named=$(file=$(root_of "$1")$pidfile; [ -f "$file" ] && head -c 20 "$file" 2>/dev/null | tr -cd 0-9)
  [ -n "$named" ] && grep -E '^(Pid|NSpid):' "/proc/$1/status" 2>/dev/null | grep -qw "$named"
}

# Whether who listens on the port passes it on to that container (docker-proxy says where to).
published() {
  for l in $(listening | sed -n 's/.*pid=\([0-9]*\),.*/\1/p'); do
    to=$(words "$l" | awk 'before == "-container-ip" { print } { before = $0 }')
    [ -n "$to" ] && grep -qF -e "-- $to" "/proc/$1/net/fib_trie" 2>/dev/null && return 0
  done
  return 1
}

# Whether somebody takes connections. What the kernel itself passes on to a container is no listener of this host.
taken() {
  [ -n "$(listening)" ] && return 0
  command -v timeout >/dev/null && command -v bash >/dev/null || return 1
  timeout 0.5 bash -c "exec 3<>/dev/tcp/${address:-127.0.0.1}/$port" 2>/dev/null
}

# Whether it is run by a user who is neither root nor the owner of anything of the instance's: anybody may call a program
# mysqld. In a world of its own users have other numbers.
alien() {
  [ -n "$owning" ] && ! far "$1" || return 1
  case " 0 $owning " in
    *" $(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$1/status" 2>/dev/null) "*) return 1 ;;
  esac
}

# Whose a server is: mine, other, or doubt and why.
whose() {
  alien "$1" && echo other && return
  theirs=$(printf '%s\n' "$listeners" | grep -F "pid=$1,")
  if [ -n "$theirs" ]; then
    if [ -n "$(printf '%s\n' "$theirs" | at_port)" ]; then echo mine; else echo other; fi
    return
  fi
  if far "$1"; then
    # A path of its own world says nothing in this one.
    if [ "$(at_home "$1" "")" = yes ] || published "$1"; then
      echo mine
    elif taken; then
      echo "doubt it has a network of its own, and $port may be passed on to it"
    else
      echo other
    fi
    return
  fi
  home=$(at_home "$1" "$(root_of "$1")")
  its=$(port_of "$1")
  yes='' no=''
  [ "$home" = yes ] && yes="it works in $datadir"
  [ -n "$pidfile" ] && named_by_pid_file "$1" && yes="$pidfile names it"
  [ "$home" = no ] && no="its data directory is another than $datadir"
  [ -n "$its" ] && [ "$its" != "$port" ] && no="its port is $its"
  if [ -n "$yes" ] && [ -n "$no" ]; then
    echo "doubt $yes, and $no"
  elif [ -n "$yes" ]; then
    echo mine
  elif [ -n "$no" ]; then
    echo other
  elif [ "$its" = "$port" ]; then
    echo mine
  else
    echo "doubt nothing tells its port"
  fi
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

# Of listeners, those of the port and the instance's address: another server may have the port at another address.
at_port() {
  awk -v port="$port" -v address="$address" -v here="$address_is_here" '
    {
      at = $4
      number = at
      sub(/^.*:/, "", number)
      sub(/:[0-9]*$/, "", at)
      gsub(/[][]/, "", at)
      sub(/%.*/, "", at)
      sub(/^::ffff:/, "", at)
      every = at == "*" || at == "::" || at == "0.0.0.0" || at == ""
      if (number == port && (here == "" || every || at == address)) print
    }'
}

listening() { [ -n "$stranger" ] || [ -z "$listeners" ] || printf '%s\n' "$listeners" | at_port; }

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

# The owners of the instance's directories ($datadir, and $owned, comma separated).
owners() {
  rest=$datadir,$owned
  set --
  while [ -n "$rest" ]; do
    d=${rest%%,*}
    case $rest in *,*) rest=${rest#*,} ;; *) rest= ;; esac
    [ -n "$d" ] && [ -d "$d" ] && set -- "$@" "$d/."
  done
  [ $# = 0 ] || ls -nd -- "$@" | awk '{ print $3 }'
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
  known=$owning
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

# Sets pids to those of the instance, doubtful to a line for each server that may be its, and others to who is not.
# The first one also finds out what stays so: every program that is started costs the cluster its milliseconds.
look() {
  if [ -z "${looked:-}" ]; then
    looked=yes address_is_here=
    # Behind address translation no socket of this host has the address that is configured.
    case $address in
      *.*) grep -qF -e "-- $address" /proc/net/fib_trie 2>/dev/null && address_is_here=yes ;;
    esac
    owning=$(echo $(owners))
  fi
  listeners=$(listening_sockets)
  pids='' doubtful='' others='' stranger=''
  for p in $(servers); do
    said=$(whose "$p")
    case $said in
      mine) pids="${pids:+$pids
}$p" ;;
      other) others="$others $p" ;;
      *) doubtful="${doubtful:+$doubtful
}$p ${said#doubt }" ;;
    esac
  done
  # One instance is one server, or what is left of a former one: who is found beside it for certain is none of it.
  [ -z "$pids" ] || doubtful=
  [ -n "$(listening)" ] && foreign && stranger=1
}

tell_doubts() { [ -z "$doubtful" ] || printf '%s\n' "$doubtful" | sed 's/^/doubt /'; }
