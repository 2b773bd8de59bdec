# rebuild.sh PORT PIDFILE ADDRESS DATADIR OWNED LOGS VERB [WORD]: one step of a rebuild on the host of the server that gets
# new data. Root's, but for look. Tells what it found and did, one "key value" a line; the last line is "done".
#   look      how large its data is, what room there is, what a former rebuild left, what starts it
#   state     what a former rebuild left, once no step is under way
#   begin     an empty place for the new data        receive   a stream of mariadb-backup there, from stdin
#   prepare   makes that whole                       info      where in its source's log it stands
#   placed    notes that its place is set: from then on the server itself knows how far it is
#   aside     a copy of the old data, server stopped stop      stops the server, and notes what runs it
#   start     starts what was stopped, or what starts it on this host; read-only, and replicating from nobody
#   swap      new data in, old data out              back      the other way round           drop   what was copied
#   settle 1|0 the old data is kept under a name with the date, or removed
# LOGS is the path and the beginning of the names of its binary logs. Beside the data directory, or within where that is a
# file system of its own, lies the room: new/ old/ scrap/ ran/ and state; old.whole is there once old/ has everything.
port=$1
pidfile=$2
address=$3
datadir=$4
owned=$5
logs=$6
verb=$7
word=${8:-}

#include instance.sh

fail() { echo "$*" >&2; exit 1; }

real=$(readlink -f "$datadir") && [ -n "$datadir" ] && [ -d "$real" ] && [ "$real" != / ] || fail "there is no directory $datadir"
parent=${real%/*} parent=${parent:-/}
beside=yes
[ "$(stat -c %d "$real")" = "$(stat -c %d "$parent")" ] || beside=no
if [ $beside = yes ]; then room=$parent/.${real##*/}.mha-rebuild; else room=$real/.mha-rebuild; fi
owner=$(stat -c %u:%g "$real")
uid=${owner%:*} gid=${owner#*:}
state=$(cat "$room/state" 2>/dev/null)

note() { printf '%s\n' "$1" >"$room/state.part" && sync "$room/state.part" && mv -f "$room/state.part" "$room/state" && sync "$room"; }
bytes_in() { du -sxb --exclude=.mha-rebuild "$@" 2>/dev/null | awk '{ n += $1 } END { printf "%.0f\n", n }'; }
free_at() { df -PB1 "$1" | awk 'NR == 2 { print $4 }'; }
is_down() { look; [ -z "$pids$doubtful" ]; }

# Entries of a directory go into another of the same file system, one by one: the directory itself stays what it is, be it
# a link or a file system of its own, and whoever goes on after a crash finds each of them in one of both.
move_all() { # FROM TO
  mkdir -p "$2" && chmod 700 "$2" && chown "$owner" "$2" || return
  for e in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    [ -e "$e" ] || [ -L "$e" ] || continue
    [ "$e" = "$room" ] && continue
    mv -f -- "$e" "$2/" || return
  done
  sync "$1" "$2"
}

# Logs that lie elsewhere are old data, too: who gets new data begins new ones.
logs_aside() { # mv|cp
  [ -n "$logs" ] && [ "$(readlink -f "${logs%/*}")" != "$real" ] || return 0
  mkdir -p -m 700 "$room/old/.mha-logs" || return
  for e in "$logs".[0-9]* "$logs".index "$logs".state; do
    [ -f "$e" ] || continue
    if [ "$1" = mv ]; then mv -f -- "$e" "$room/old/.mha-logs/"; else cp -a -- "$e" "$room/old/.mha-logs/"; fi || return
  done
}

# What tells how it is started, as it runs now.
how_it_runs() {
  for p in $pids; do
    unit=$(sed -n 's#.*/\([^/]*\.service\).*#\1#p' "/proc/$p/cgroup" 2>/dev/null | head -1)
    if [ -d /run/systemd/system ] && [ -n "$unit" ] && systemctl cat "$unit" >/dev/null 2>&1; then
      echo "unit $unit"
      return
    fi
    above=$(parent "$p")
    if words "$above" | head -2 | grep -Eq '(^|/)(mysqld|mariadbd)[_-]safe$'; then echo "safe $above"; else echo "words $p"; fi
    return
  done
}

# A unit of this host that would start the instance, by the words that it starts with.
unit_for_it() {
  [ -d /run/systemd/system ] || return
  known=$(systemctl list-unit-files --plain --no-legend 'mysql*.service' 'mariadb*.service' 2>/dev/null | awk '{ print $1 }')
  for u in $known; do
    case $u in *@.service) continue ;; esac
    told=$(systemctl show -p ExecStart --value "$u" 2>/dev/null | sed -n 's/.*argv\[\]=\([^;]*\);.*/\1/p' | tail -1)
    [ -n "$told" ] && [ "$(printf '%s\n' $told | sed 's/^[A-Z_]*=-/-/' | port_in "")" = "$port" ] && echo "$u" && return
  done
}

# The words of a process are its user's to choose, so they are run as that user and as nobody else.
remember() {
  set -- $(how_it_runs)
  rm -rf "$room/ran" && mkdir -p -m 700 "$room/ran" || return
  [ $# = 2 ] || return 0
  case $1 in
    unit) printf '%s\n' "$2" >"$room/ran/unit" ;;
    *)
      cp "/proc/$2/cmdline" "$room/ran/words" &&
        readlink "/proc/$2/exe" | sed 's/ (deleted)$//' >"$room/ran/exe" &&
        sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$2/status" >"$room/ran/uid" &&
        sed -n 's/^Gid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$2/status" >"$room/ran/gid" &&
        readlink "/proc/$2/fd/2" >"$room/ran/errors" ;;
  esac
}

#include start_mysqld.sh

do_swap() {
  is_down || fail "a mysqld runs there"
  case $state in
    copied) if [ -e "$room/old.whole" ]; then state=scrap; else state=out; fi ;;
    out | scrap | in | swapped | placed) ;;
    *) fail "there is no whole copy to put in: ${state:-nothing}" ;;
  esac
  if [ "$state" = out ]; then
    note out && move_all "$real" "$room/old" && logs_aside mv && : >"$room/old.whole" && note in && state=in ||
      fail "the old data could not be moved to $room/old"
  elif [ "$state" = scrap ]; then
    # The old data is safe: what lies there is a copy that a rebuild left.
    note scrap && move_all "$real" "$room/scrap" && note in && state=in || fail "what lies in $real could not be moved away"
  fi
  [ "$state" = in ] || return 0
  move_all "$room/new" "$real" || fail "the new data could not be moved to $real"
  # Who it is, what was set for good, and what proves it to its clients stay as they were.
  for f in "$room/old"/auto.cnf "$room/old"/mysqld-auto.cnf "$room/old"/*.pem; do
    [ ! -f "$f" ] || cp -p -- "$f" "$real/" || fail "$f cannot be copied"
  done
  rm -rf "$room/new" "$room/scrap" && note swapped
}

do_back() {
  is_down || fail "a mysqld runs there"
  case $state in
    out) state=back-in ;;
    back-*) ;;
    *) if [ -e "$room/old.whole" ]; then rm -rf "$room/scrap" && state=back-out; else state=nothing; fi ;;
  esac
  if [ "$state" = back-out ]; then
    note back-out && move_all "$real" "$room/scrap" && state=back-in || fail "what lies in $real could not be moved away"
  fi
  if [ "$state" = back-in ]; then
    note back-in && move_all "$room/old" "$real" || fail "the old data could not be put back; it is in $room/old"
    if [ -d "$real/.mha-logs" ]; then mv -f "$real/.mha-logs"/* "${logs%/*}/" && rmdir "$real/.mha-logs" || fail "its logs could not be put back"; fi
  fi
  rm -rf "$room/old.whole" "$room/old" "$room/new" "$room/clone" "$room/scrap" && note nothing
  echo "back"
}

may_act() { [ "$(id -u)" = 0 ] || fail "this is for root"; }
have_room() { [ -d "$room" ] && [ -O "$room" ] || fail "no rebuild was begun: $room is not there, or not root's"; }

# One step at a time: that of a manager which died may still be under way here.
case $verb in look | size) ;; *)
  [ "$(id -u)" != 0 ] || ! command -v flock >/dev/null || { exec 9>>"/run/mha-rebuild-$port.lock" && flock -w 3600 9; } ||
    fail "another step of a rebuild does not end"
  state=$(cat "$room/state" 2>/dev/null) ;;
esac

case $verb in
  state)
    echo "state $state"
    [ ! -e "$room/old.whole" ] || echo "old $room/old" ;;
  look)
    look
    set -- "$real"
    [ -n "$logs" ] && [ "$(readlink -f "${logs%/*}")" != "$real" ] && set -- "$@" "${logs%/*}"
    echo "data $(bytes_in "$@")"
    echo "free $(free_at "$real")"
    echo "beside $beside"
    echo "room $room"
    [ -z "$state" ] || echo "state $state"
    [ ! -e "$room/old.whole" ] || echo "old $room/old"
    links=$(find "$real" -maxdepth 2 -xdev \( -name '*.isl' -o -name '*.link' -o -type l \) 2>/dev/null | head -1)
    [ -z "$links" ] || echo "elsewhere $links"
    runs=$(how_it_runs)
    [ -z "$runs" ] || echo "runs $runs"
    [ -n "$runs" ] || { u=$(unit_for_it); [ -z "$u" ] || echo "unit $u"; }
    [ -e "$room/ran/words" ] || [ -e "$room/ran/unit" ] && echo "ran yes"
    [ "$(id -u)" = 0 ] && echo "root yes" ;;
  begin)
    may_act
    mkdir -p -m 711 "$room" && [ -O "$room" ] && chmod 711 "$room" || fail "cannot make $room"
    # CLONE makes its directory as the server, within one that is the server's.
    rm -rf "$room/new" "$room/clone" && mkdir -m 700 "$room/new" "$room/clone" && chown "$owner" "$room/new" "$room/clone" ||
      fail "cannot make $room/new"
    note copying ;;
  receive)
    may_act; have_room
    (cd "$room/new" && exec mbstream -x) || fail "mbstream could not unpack what it received: is the disk full?" ;;
  prepare)
    may_act; have_room
    backup=$(command -v mariadb-backup || command -v mariabackup) || fail "mariadb-backup is not on this host"
    "$backup" --prepare --target-dir="$room/new" >"$room/prepare.log" 2>&1 && tail -1 "$room/prepare.log" | grep -q 'completed OK!' ||
      fail "the copy could not be prepared: $(grep -iE 'error|failed' "$room/prepare.log" | tail -1)"
    chown -R "$owner" "$room/new" && note copied ;;
  cloned)
    may_act; have_room
    [ -f "$room/clone/new/ibdata1" ] || fail "there is no clone in $room/clone/new"
    rm -rf "$room/new" && mv "$room/clone/new" "$room/new" && note copied ;;
  placed) may_act; have_room; note placed ;;
  size) echo "size $(bytes_in "$room/new" "$room/clone")" ;;
  info)
    for d in "$room/new" "$real"; do
      for f in mariadb_backup xtrabackup; do
        [ -f "$d/${f}_slave_info" ] && tr '\n' ' ' <"$d/${f}_slave_info" | sed 's/^/slave_info /; $a\'
        [ -f "$d/${f}_binlog_info" ] && head -1 "$d/${f}_binlog_info" | sed 's/^/binlog_info /'
      done
      [ ! -f "$d/xtrabackup_binlog_info" ] && [ ! -f "$d/mariadb_backup_binlog_info" ] || break
    done ;;
  aside)
    may_act; have_room
    is_down || fail "a mysqld runs there"
    if [ ! -e "$room/old.whole" ]; then
      rm -rf "$room/old" && mkdir -m 700 "$room/old" || fail "cannot make $room/old"
      (cd "$real" && find . -mindepth 1 -maxdepth 1 ! -path ./.mha-rebuild -exec cp -a --reflink=auto -t "$room/old" {} +) && logs_aside cp ||
        { rm -rf "$room/old"; fail "the old data cannot be copied aside: is the disk full?"; }
      sync -f "$room/old" && : >"$room/old.whole"
    fi
    note aside ;;
  stop)
    may_act; have_room
    look
    [ -z "$doubtful" ] || { tell_doubts; fail "a mysqld runs there that may be another's"; }
    if [ -n "$pids" ]; then
      remember || fail "what runs it cannot be noted"
      if [ -f "$room/ran/unit" ]; then
        systemctl stop "$(cat "$room/ran/unit")" || fail "systemctl stop $(cat "$room/ran/unit") failed"
      else
        kill -TERM $pids 2>/dev/null
      fi
      i=0
      while ! is_down && [ $i -lt 1200 ]; do sleep 0.1; i=$((i + 1)); done
      is_down || fail "mysqld does not end within 120 s of being asked to"
    fi
    echo "stopped" ;;
  start)
    may_act
    # A host that died in the midst of it has its data in two places.
    case $state in out | in | scrap) do_swap ;; back-*) do_back ;; esac
    start_it || exit ;;
  swap) may_act; have_room; do_swap ;;
  back) may_act; [ ! -d "$room" ] || { have_room; do_back; } ;;
  drop)
    may_act
    [ ! -d "$room" ] || [ -e "$room/old.whole" ] || [ "$state" = out ] || rm -rf "$room"
    [ ! -d "$room" ] || rm -rf "$room/new" "$room/clone" ;;
  settle)
    may_act; have_room
    if [ "$word" = 1 ] && [ -e "$room/old.whole" ]; then
      if [ $beside = yes ]; then kept=$real.before-$(date +%Y%m%d%H%M%S); else kept=$real/.before-$(date +%Y%m%d%H%M%S); fi
      mv -T -- "$room/old" "$kept" && rm -f "$room/old.whole" && echo "kept $kept" || fail "$room/old cannot be renamed"
    fi
    rm -rf "$room" ;;
  *) fail "$verb is no step of a rebuild" ;;
esac
echo done
