# fence.sh PORT PIDFILE ADDRESS DATADIR OWNED PERSIST ASK: make sure that the mysqld of one instance does not serve again
# on this host. Tells what it found and did, one "key value" a line; the last line is "done". What may be another's is left
# alone and told ("doubt").
# PERSIST is 1 to write read_only to an option file, "only" to do nothing else, 0 for none.
# With ASK=1 a server that still greets who connects to it is told of ("greets"), and nothing is done.
port=$1
pidfile=$2
address=$3
datadir=$4
owned=$5
persist=$6
ask=$7

#include instance.sh

look
seen=$pids

# One that is stopped (T) greets nobody; one that listens on one address alone is asked there.
greets() {
  command -v bash >/dev/null && command -v timeout >/dev/null || return 1
  for p in $pids; do
    case $(sed 's/.*) \(.\).*/\1/' "/proc/$p/stat" 2>/dev/null) in T | t | "") continue ;; esac
    at=$(listening | grep -F "pid=$p," | awk 'NR == 1 { sub(/:[0-9]*$/, "", $4); gsub(/[][]/, "", $4); print $4 }')
    case $at in "" | '*' | 0.0.0.0 | ::) at=127.0.0.1 ;; esac
    [ -n "$(timeout 0.5 bash -c "exec 3<>/dev/tcp/$at/$port && head -c 5 <&3" 2>/dev/null | tr -d '\0')" ] && return 0
  done
  return 1
}

if [ "$ask" = 1 ] && greets; then
  echo "greets $port"
  echo done
  exit
fi

if [ "$persist" != 0 ]; then
  # What the server would read at its next start: directories that its option files include.
  # Anybody may call a process mysqld and give it an option file: one that others may write to is not read (a pipe would
  # hold this up), and into a directory where they may, nothing is written (a link there would lead elsewhere).
  alone() { [ -O "$1" ] && [ -z "$(find "$1" -maxdepth 0 -perm /022)" ]; }
  usual="/etc/my.cnf /etc/mysql/my.cnf /etc/mysql/mariadb.cnf"
  files= written=
  for p in $pids; do
    for f in $(words "$p" | option defaults-file); do
      [ -f "$f" ] && alone "$f" && files="$files $f"
    done
  done
  [ -n "$files" ] || files=$usual
  # Another server that reads the same ones would be closed by it, too.
  for p in $others $(printf '%s\n' "$doubtful" | sed 's/ .*//'); do
    far "$p" && continue
    file=$(words "$p" | option defaults-file)
    for file in ${file:-$usual}; do
      case " $(echo $files) " in *" $file "*) [ -e "$file" ] && shared=$p ;; esac
    done
  done
  [ -z "${shared:-}" ] || files=/nonexistent
  for d in $(sed -n 's/^!includedir[[:space:]]*//p' $files 2>/dev/null | sort -u); do
    d=${d%/}
    [ -d "$d" ] && alone "$d/." || continue
    rm -f "$d/.zz-mha-fenced.part"
    # Names of other versions are skipped with a warning because of loose_.
    printf '%s\n' "# Written when this server was fenced. 'mha release' takes it away." "[mysqld]" read_only=1 \
      loose_super_read_only=1 loose_skip_slave_start loose_skip_replica_start >"$d/.zz-mha-fenced.part" 2>/dev/null &&
      chmod 644 "$d/.zz-mha-fenced.part" && mv -f "$d/.zz-mha-fenced.part" "$d/zz-mha-fenced.cnf" &&
      written=$d/zz-mha-fenced.cnf && echo "persisted $written"
  done
  if [ -n "${shared:-}" ]; then
    echo "unpersisted another server, process $shared, reads the same option files"
  elif [ -z "$written" ]; then
    echo "unpersisted no option file of this host has an !includedir that can be written"
  fi
  [ "$persist" = only ] && echo done && exit 0
fi

# Every mysqld_safe: its first word, or the script that its shell runs.
safes() {
  for f in $(grep -alE '(mysqld|mariadbd)[_-]safe' /proc/[0-9]*/cmdline 2>/dev/null); do
    s=${f#/proc/}
    s=${s%/cmdline}
    words "$s" | head -2 | grep -Eq '(^|/)(mysqld|mariadbd)[_-]safe$' && echo "$s"
  done
}

# Whether a process has started a server that is not the instance's.
busy() {
  for s in $others $(printf '%s\n' "$doubtful" | sed 's/ .*//'); do descends "$s" "$1" && return 0; done
  return 1
}

# Whether this mysqld_safe would start the instance again: it has, or has nobody and was started for it.
supervises() {
  words "$1" | head -2 | grep -Eq '(^|/)(mysqld|mariadbd)[_-]safe$' || return 1
  for s in $pids; do descends "$s" "$1" && return 0; done
  busy "$1" && return 1
  ! far "$1" && [ "$(port_of "$1")" = "$port" ]
}

# Supervisors go first, or they would start it again: systemd's unit is masked, which a boot of the host does not lift.
# A unit file of the site's own in /etc cannot be masked: a condition that never holds keeps it from starting.
hold_off() {
  systemctl mask "$1" >/dev/null 2>&1 && echo "masked $1" && return
  d=/etc/systemd/system/$1.d
  mkdir -p "$d" 2>/dev/null && printf '%s\n' "# Written when this server was fenced. 'mha release' takes it away." "[Unit]" \
    "ConditionPathExists=!/" 2>/dev/null >"$d/zz-mha-fenced.conf" && systemctl daemon-reload >/dev/null 2>&1 &&
    echo "masked $d/zz-mha-fenced.conf" && return
  systemctl mask --runtime "$1" >/dev/null 2>&1 && echo "masked $1" && echo "brief $1" && return
  echo "restarts systemd's $1"
}
# Whether a unit that has no process now would start the instance: by the words that it starts with.
starts_it() {
  told=$(systemctl show -p ExecStart --value "$1" 2>/dev/null | sed -n 's/.*argv\[\]=\([^;]*\);.*/\1/p' | tail -1)
  more=$(systemctl show -p Environment --value "$1" 2>/dev/null)
  [ -z "$told" ] || [ "$(printf '%s\n' $told $more | sed 's/^[A-Z_]*=-/-/' | port_in "")" = "$port" ]
}
if [ -d /run/systemd/system ]; then
  units=""
  for p in $pids; do
    units="$units $(sed -n 's#.*/\([^/]*\.service\).*#\1#p' "/proc/$p/cgroup" 2>/dev/null | head -1)"
  done
  if [ -z "$(echo $units)" ] && [ -z "$doubtful" ]; then
    known=$(systemctl list-units --all --plain --no-legend 'mysql*.service' 'mariadb*.service' 2>/dev/null | awk '{ print $1 }')
    for u in $(printf '%s\n' mysql mysqld mariadb $known | sed 's/\.service$//' | sort -u); do
      case $(systemctl show -p ActiveState --value "$u" 2>/dev/null) in active | activating | failed) ;; *) continue ;; esac
      main=$(systemctl show -p MainPID --value "$u" 2>/dev/null | tr -cd 0-9)
      if [ "${main:-0}" -gt 0 ] && [ -d "/proc/$main" ]; then
        # One that runs something else runs another instance.
        case " $(echo $pids) " in *" $main "*) ;; *) supervises "$main" || continue ;; esac
      elif [ -n "$pids" ] || ! starts_it "$u"; then
        continue
      fi
      units="$units $u.service"
    done
  fi
  for u in $(printf '%s\n' $units | sort -u); do
    hold_off "$u"
  done
fi

# A container's restart policy is its runtime's to change.
for p in $pids; do
  found=$(sed -nE 's#.*(docker|libpod)(-payload)?[-/]([0-9a-f]{64}).*#\1 \3#p' "/proc/$p/cgroup" 2>/dev/null | head -1)
  [ -n "$found" ] || continue
  case $found in docker*) runtime=docker ;; *) runtime=podman ;; esac
  id=$(printf '%.12s' "${found#* }")
  if timeout 5 "$runtime" update --restart=no "${found#* }" >/dev/null 2>&1; then
    echo "container $runtime $id"
  else
    echo "restarts $runtime container $id"
  fi
done

for p in $(safes); do
  if supervises "$p"; then
    kill -9 "$p" 2>/dev/null && echo "supervisor $p"
  elif ! far "$p" && ! busy "$p" && [ -z "$(port_of "$p")" ]; then
    echo "restarts mysqld_safe, process $p, of which nothing tells the port"
  fi
done

# A shell that starts mysqld in a loop: by its own text, or the script that it runs. Not this one, nor who started it.
ancestors=" 1 "
p=$$
while [ -n "$p" ] && [ "$p" -gt 1 ]; do
  ancestors="$ancestors$p "
  while read -r key next; do [ "$key" != PPid: ] || break; done 2>/dev/null <"/proc/$p/status" || next=
  p=$next
done
starts='(^|[;&|({]|do|then|exec|nohup|setsid|while|until)[[:space:]]*([^[:space:];]*/)?(mysqld|mariadbd)([[:space:];&|>]|$)'
# By its program: a script that is run by its first line has a name of its own.
shells='s#.*/proc/([0-9]+)/exe -> .*/(sh|bash|dash|ash|ksh|zsh|busybox)$#\1#p'
for p in $(ls -l /proc/[0-9]*/exe 2>/dev/null | sed -nE "$shells"); do
  case $ancestors in *" $p "*) continue ;; esac
  words=$(tr '\0' '\n' 2>/dev/null <"/proc/$p/cmdline")
  file=$(printf '%s\n' "$words" | sed -n 2p)
  case $file in -*) file= ;; /*) file=/proc/$p/root$file ;; ?*) file=/proc/$p/cwd/$file ;; esac
  # This script's own text, as root's helper has it for a look at the same time.
  [ -z "$file" ] || [ -z "$(find "$file" -maxdepth 0 -user 0 -name 'mha-host-*' ! -perm /022 2>/dev/null)" ] || continue
  text=$words
  [ -n "$file" ] && [ -f "$file" ] && text=$(head -c 65536 "$file" 2>/dev/null)
  printf '%s\n' "$text" | grep -Eq "$starts" || continue
  far "$p" && continue
  other=$(printf '%s\n' "$text" | sed -n 's/.*--port=\([0-9]*\).*/\1/p' | tail -1)
  [ -n "$other" ] && [ "$other" != "$port" ] && continue
  with=$(printf '%s\n' "$text" | sed -n 's/.*--defaults-file=\([^[:space:];&|]*\).*/\1/p' | tail -1)
  [ -z "$other" ] && [ -n "$with" ] && [ "$(printf '%s\n' "--defaults-file=$with" | port_in "")" != "$port" ] && continue
  busy "$p" || { kill -9 "$p" 2>/dev/null && echo "supervisor $p"; }
done

look
for p in $pids; do
  # Others that start what they supervise again are told; how they are stopped differs too much to guess.
  by=$(cat "/proc/$(parent "$p")/comm" 2>/dev/null)
  case $by in supervisord | runsv | supervise | s6-supervise | daemon | god | circusd) echo "restarts $by" ;; esac
  if kill -9 "$p" 2>/dev/null; then echo "killed $p"; else refused="${refused:-} $p"; fi
done
# Whom this user may not kill, he need not wait for.
in_vain() {
  for p in ${refused:-}; do case " $(echo $pids) " in *" $p "*) return 0 ;; esac; done
  return 1
}
# The socket of a killed process closes a moment after it; whoever listens on when all are gone is another, as a proxy.
i=0
gone=0
while look; open=$(listening); [ -n "$pids$open" ] && [ $i -lt 100 ] && [ $gone -lt 20 ] && ! in_vain; do
  [ -n "$pids" ] || gone=$((gone + 1))
  # What only hangs will not serve again; waiting for its disk would keep everybody waiting.
  hang=$([ $i -ge 4 ] && hanging)
  if [ -n "$hang" ] && [ -z "$(printf '%s\n' $pids | grep -vxF "$hang")" ] &&
    [ -z "$(listening | grep -F pid= | grep -vF "$(printf 'pid=%s,\n' $hang)")" ]; then
    for p in $hang; do echo "dying $p"; done
    # Nobody else closes the sockets of a process that cannot end, and its clients would wait for their own timeouts.
    ss -KHtna "sport = :$port" >/dev/null 2>&1
    echo done
    exit
  fi
  sleep 0.05
  i=$((i + 1))
done
# Who took its port may keep a replica's login waiting, and its STOP with it: he is left alone, his sessions are closed.
if [ -n "$stranger" ] && [ -z "$pids$doubtful" ] && [ -n "$address_is_here" ]; then
  [ -z "$(ss -KHtn state established src "$address:$port" 2>/dev/null)" ] || echo "parted $port"
fi
for p in $pids; do echo "left $p"; done
[ -n "$open" ] && echo "listening $port"
[ -n "$stranger" ] && echo "stranger $port"
# Once the instance was found, another was not it.
[ -n "$seen" ] || tell_doubts
echo done
