# rebuild.sh PORT PIDFILE ADDRESS DATADIR OWNED LOGS VERB [WORD]: one step of a rebuild on the host of the server that gets
# new data. Root's, but for look. Tells what it found and did, one "key value" a line; the last line is "done".
#   look      how large its data is, what room there is, what a former rebuild left, what starts it
#   state     what a former rebuild left, once no step is under way
#   begin     an empty place for the new data; from stdin whose rebuild it is. "begin apart": what another left is kept first
#   claim     what is there is gone on with: from stdin by whom
#   receive   a stream of mariadb-backup to the new data, from stdin
#   prepare   makes that whole                       info      where in its source's log it stands
#   placed    notes that its place is set: from then on the server itself knows how far it is
#   aside     a copy of the old data, server stopped stop      stops the server, and notes what runs it
#   start     starts what was stopped, or what starts it on this host; read-only, and replicating from nobody
#             "start open": no option file says so, and what has no words of ours is not started
#   remember  notes what runs it, as "stop" does, of one that goes on running      forget    takes that note away
#   finish    ends what a host that died was moving
#   swap      new data in, old data out              back      the other way round           drop   what was copied
#   settle 1|0 the old data is kept under a name with the date, or removed
# LOGS is the path and the beginning of the names of its binary logs. Beside the data directory, or within where that is a
# file system of its own, lies the room: new/ old/ scrap/; old.whole is there once old/ has everything. Whoever runs the
# server may be able to rename the room: what root believes and executes (state, of, ran/) lies where only root writes.
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
memories=/var/lib/mha-rebuild
memory=$memories/$port-$(printf %s "$real" | cksum | tr ' ' -)

is_ours() { [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]; }
whose_room() { [ -d "$room" ] && [ ! -L "$room" ] && [ "$(stat -c %u "$room")" = 0 ]; }
old_is_whole() { [ -e "$room/old.whole" ] && [ -d "$room/old" ] && [ ! -L "$room/old" ]; }
read_state() { whose_room && cat "$memory/state" 2>/dev/null; }
state=$(read_state)

write_down() { # NAME, from stdin
  cat >"$memory/$1.part" && sync "$memory/$1.part" && mv -f "$memory/$1.part" "$memory/$1" && sync "$memory"
}
note() { printf '%s\n' "$1" | write_down state; }
have_memory() {
  mkdir -p -m 755 "$memories" && is_ours "$memories" && mkdir -p -m 755 "$memory" && is_ours "$memory" || fail "cannot make $memory"
}
# What a donor sent, and what whoever runs the server named, is nothing that root handles.
as_owner() {
  groups=--init-groups
  getent passwd "$uid" >/dev/null || groups=--clear-groups
  HOME=/ setpriv --reuid="$uid" --regid="$gid" "$groups" "$@"
}
bytes_in() { du -sxb --exclude=.mha-rebuild "$@" 2>/dev/null | awk '{ n += $1 } END { printf "%.0f\n", n }'; }
free_at() { df -PB1 "$1" | awk 'NR == 2 { print $4 }'; }
is_down() { look; [ -z "$pids$doubtful" ]; }

# Entries of a directory go into another of the same file system, one by one: the directory itself stays what it is, be it
# a link or a file system of its own, and whoever goes on after a crash finds each of them in one of both.
move_all() { # FROM TO
  [ -e "$1" ] || return 0
  [ ! -L "$1" ] && [ ! -L "$2" ] || return
  [ -d "$2" ] || { mkdir -m 700 "$2" && chown "$owner" "$2"; } || return
  for e in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    [ -e "$e" ] || [ -L "$e" ] || continue
    [ "$e" = "$room" ] && continue
    # Who is there already was made by a server that was started in the midst of it.
    [ -e "$2/${e##*/}" ] || [ -L "$2/${e##*/}" ] && { echo "${e##*/} is in $1 and in $2" >&2; return 1; }
    mv -- "$e" "$2/" || return
  done
  sync "$1" "$2"
}

# Logs that lie elsewhere are old data, too: who gets new data begins new ones.
logs_aside() { # mv|cp
  [ -n "$logs" ] && [ "$(readlink -f "${logs%/*}")" != "$real" ] || return 0
  mkdir -p -m 700 "$room/old/.mha-logs" && chown "$owner" "$room/old" "$room/old/.mha-logs" || return
  for e in "$logs".[0-9]* "$logs".index "$logs".state; do
    [ -f "$e" ] && [ ! -L "$e" ] || continue
    if [ "$1" = mv ]; then as_owner mv -- "$e" "$room/old/.mha-logs/"; else as_owner cp -a -- "$e" "$room/old/.mha-logs/"; fi || return
  done
}

user_of() { sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$1/status" 2>/dev/null; }

# What tells how it is started, as it runs now.
how_it_runs() {
  for p in $pids; do
    unit=$(sed -n 's#.*/\([^/]*\.service\).*#\1#p' "/proc/$p/cgroup" 2>/dev/null | head -1)
    if [ -d /run/systemd/system ] && [ -n "$unit" ] && systemctl cat "$unit" >/dev/null 2>&1; then
      echo "unit $unit"
      return
    fi
    above=$(parent "$p")
    # Words that root would execute are none of these: where mysqld_safe is root's the server is started without it.
    if words "$above" | head -2 | grep -Eq '(^|/)(mysqld|mariadbd)[_-]safe$' && [ "$(user_of "$above")" != 0 ]; then
      echo "safe $above"
    elif [ "$(user_of "$p")" != 0 ]; then
      echo "words $p"
    fi
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
  have_memory
  rm -rf "$memory/ran" && mkdir -m 700 "$memory/ran" || return
  [ $# = 2 ] || return 0
  case $1 in
    unit) printf '%s\n' "$2" >"$memory/ran/unit" ;;
    *)
      cp "/proc/$2/cmdline" "$memory/ran/words" &&
        readlink "/proc/$2/exe" | sed 's/ (deleted)$//' >"$memory/ran/exe" &&
        user_of "$2" >"$memory/ran/uid" &&
        sed -n 's/^Gid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$2/status" >"$memory/ran/gid" &&
        readlink "/proc/$2/fd/2" >"$memory/ran/errors" ;;
  esac
}

#include start_mysqld.sh

do_swap() {
  is_down || fail "a mysqld runs there"
  case $state in
    copied)
      [ -f "$room/new/ibdata1" ] || fail "there is no whole copy in $room/new"
      if old_is_whole; then state=scrap; else state=out; fi ;;
    out | scrap | in | swapped | placed) ;;
    *) fail "there is no whole copy to put in: ${state:-nothing}" ;;
  esac
  if [ "$state" = out ]; then
    note out && move_all "$real" "$room/old" && logs_aside mv && : >"$room/old.whole" && sync "$room" && note in && state=in ||
      fail "the old data could not be moved to $room/old"
  elif [ "$state" = scrap ]; then
    # The old data is safe: what lies there is a copy that a rebuild left.
    note scrap && move_all "$real" "$room/scrap" && note in && state=in || fail "what lies in $real could not be moved away"
  fi
  [ "$state" = in ] || return 0
  move_all "$room/new" "$real" || fail "the new data could not be moved to $real"
  # Who it is, what was set for good, and what proves it to its clients stay as they were.
  for f in "$room/old"/auto.cnf "$room/old"/mysqld-auto.cnf "$room/old"/*.pem; do
    [ ! -f "$f" ] || [ -L "$f" ] || cp -pP --remove-destination -- "$f" "$real/" || fail "$f cannot be copied"
  done
  # Noted first: what is removed halfway is nothing that anybody goes on with.
  note swapped && rm -rf "$room/new" "$room/scrap"
}

do_back() {
  is_down || fail "a mysqld runs there"
  case $state in
    out) state=back-in ;;
    back-*) ;;
    *) if old_is_whole; then rm -rf "$room/scrap" && state=back-out; else state=nothing; fi ;;
  esac
  if [ "$state" = back-out ]; then
    note back-out && move_all "$real" "$room/scrap" && state=back-in || fail "what lies in $real could not be moved away"
  fi
  if [ "$state" = back-in ]; then
    note back-in && move_all "$room/old" "$real" || fail "the old data could not be put back; it is in $room/old"
    if [ -d "$real/.mha-logs" ] && [ ! -L "$real/.mha-logs" ]; then
      as_owner mv -f "$real/.mha-logs"/* "${logs%/*}/" && rmdir "$real/.mha-logs" || fail "its logs could not be put back"
    fi
  fi
  # Noted before anything is removed, but for the word that there is old data: there is none any more.
  rm -f "$room/old.whole" && sync "$room" && note nothing && rm -rf "$room/old" "$room/new" "$room/clone" "$room/scrap"
  echo "back"
}

# A host that died in the midst of it has its data in two places.
finish_moves() { case $state in out | in | scrap) do_swap ;; back-*) do_back ;; esac; }

# The old data leaves the room by one rename, and until then it is whole; of what is removed nothing counts any more.
let_old_go() { # 1|0
  old_is_whole || return 0
  if [ "$1" = 0 ]; then
    kept=$room/gone
    rm -rf "$kept"
  elif [ $beside = yes ]; then
    kept=$real.before-$(date +%Y%m%d%H%M%S)
  else
    kept=$real/.before-$(date +%Y%m%d%H%M%S)
  fi
  note nothing && mv -T -n -- "$room/old" "$kept" && [ ! -e "$room/old" ] && sync "$room" "${kept%/*}" && rm -f "$room/old.whole" ||
    fail "$room/old cannot be renamed"
  [ "$1" = 0 ] || echo "kept $kept"
}

may_act() {
  [ "$(id -u)" = 0 ] || fail "this is for root"
  [ "$uid" != 0 ] || fail "$real is root's, so it is no server's data directory"
}
have_room() { whose_room && is_ours "$memory" || fail "no rebuild was begun: $room is not there, or not root's, or a link"; }

# One step at a time: that of a manager which died may still be under way here.
case $verb in look | size) ;; *)
  [ "$(id -u)" != 0 ] || ! command -v flock >/dev/null || { exec 9>>"/run/mha-rebuild-$port.lock" && flock -w 3600 9; } ||
    fail "another step of a rebuild does not end"
  state=$(read_state) ;;
esac

tell_of() { [ ! -e "$memory/of" ] || sed 's/^/of /; $a\' "$memory/of"; }

case $verb in
  state)
    echo "state $state"
    tell_of
    ! old_is_whole || echo "old $room/old" ;;
  look)
    look
    set -- "$real"
    [ -n "$logs" ] && [ "$(readlink -f "${logs%/*}")" != "$real" ] && set -- "$@" "${logs%/*}"
    echo "data $(bytes_in "$@")"
    echo "free $(free_at "$real")"
    echo "beside $beside"
    echo "room $room"
    [ -z "$state" ] || echo "state $state"
    tell_of
    ! old_is_whole || echo "old $room/old"
    links=$(find "$real" -maxdepth 2 -xdev \( -name '*.isl' -o -name '*.link' -o -type l \) 2>/dev/null | head -1)
    [ -f "$real/ibdata1" ] || links=${links:-"its ibdata1 is not in $real"}
    [ -z "$links" ] || echo "elsewhere $links"
    runs=$(how_it_runs)
    [ -z "$runs" ] || echo "runs $runs"
    [ -n "$runs" ] || { u=$(unit_for_it); [ -z "$u" ] || echo "unit $u"; }
    [ -e "$memory/ran/words" ] || [ -e "$memory/ran/unit" ] && echo "ran yes"
    [ "$(id -u)" = 0 ] && echo "root yes" ;;
  begin)
    may_act
    mkdir -p -m 711 "$room" && whose_room && chmod 711 "$room" || fail "cannot make $room, or it is not root's, or a link"
    have_memory
    finish_moves
    [ -f "$real/ibdata1" ] || fail "there is no ibdata1 in $real, so it is no server's data directory"
    [ "$word" != apart ] || let_old_go 1
    # Noted first: from here on there is no copy.
    write_down of && note copying || fail "cannot write to $memory"
    # What is no whole old data is the rest of a copy of it.
    old_is_whole || rm -rf "$room/old" "$room/old.whole"
    # CLONE makes its directory as the server, within one that is the server's.
    rm -rf "$room/new" "$room/clone" "$room/scrap" "$room/gone" && mkdir -m 700 "$room/new" "$room/clone" &&
      chown "$owner" "$room/new" "$room/clone" || fail "cannot make $room/new" ;;
  claim) may_act; have_room; write_down of || fail "cannot write to $memory" ;;
  receive)
    may_act; have_room
    (cd "$room/new" && as_owner mbstream -x) || fail "mbstream could not unpack what it received: is the disk full?" ;;
  prepare)
    may_act; have_room
    backup=$(command -v mariadb-backup || command -v mariabackup) || fail "mariadb-backup is not on this host"
    as_owner "$backup" --prepare --target-dir="$room/new" >"$room/prepare.log" 2>&1 && tail -1 "$room/prepare.log" | grep -q 'completed OK!' ||
      fail "the copy could not be prepared: $(grep -iE 'error|failed' "$room/prepare.log" | tail -1)"
    note copied ;;
  cloned)
    may_act; have_room
    [ -f "$room/clone/new/ibdata1" ] || fail "there is no clone in $room/clone/new"
    rm -rf "$room/new" && mv -T "$room/clone/new" "$room/new" || fail "$room/clone/new cannot be renamed"
    # Asked where nobody but root can change it.
    [ ! -L "$room/new" ] && [ -d "$room/new" ] || fail "the clone in $room/new is no directory"
    note copied ;;
  placed) may_act; have_room; note placed ;;
  size) echo "size $(bytes_in "$room/new" "$room/clone")" ;;
  info)
    for d in "$room/new" "$real"; do
      for f in mariadb_backup xtrabackup; do
        [ -f "$d/${f}_slave_info" ] && [ ! -L "$d/${f}_slave_info" ] && tr '\n' ' ' <"$d/${f}_slave_info" | sed 's/^/slave_info /; $a\'
        [ -f "$d/${f}_binlog_info" ] && [ ! -L "$d/${f}_binlog_info" ] && head -1 "$d/${f}_binlog_info" | sed 's/^/binlog_info /'
      done
      [ ! -f "$d/xtrabackup_binlog_info" ] && [ ! -f "$d/mariadb_backup_binlog_info" ] || break
    done ;;
  aside)
    may_act; have_room
    is_down || fail "a mysqld runs there"
    if ! old_is_whole; then
      rm -rf "$room/old" && mkdir -m 700 "$room/old" && chown "$owner" "$room/old" || fail "cannot make $room/old"
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
      if [ -f "$memory/ran/unit" ]; then
        systemctl stop "$(cat "$memory/ran/unit")" || fail "systemctl stop $(cat "$memory/ran/unit") failed"
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
    [ ! -e "$room" ] || have_room
    finish_moves
    start_it || exit ;;
  # For who is about to be killed in a drill: it is started again as it runs now.
  remember)
    may_act
    look
    [ -z "$doubtful" ] || { tell_doubts; fail "a mysqld runs there that may be another's"; }
    remember && { [ -f "$memory/ran/unit" ] || [ -f "$memory/ran/words" ]; } || fail "nothing tells how its mysqld is started" ;;
  forget) may_act; [ -e "$room" ] || rm -rf "$memory" ;;
  finish) may_act; finish_moves ;;
  swap) may_act; have_room; do_swap ;;
  back) may_act; [ ! -d "$room" ] || { have_room; do_back; } ;;
  drop)
    may_act
    [ ! -e "$room" ] || have_room
    case $state in out | in | scrap | back-*) fail "$room has data that was being moved" ;; esac
    if whose_room; then
      note nothing && rm -rf "$room/new" "$room/clone"
      old_is_whole || rm -rf "$room" "$memory"
    fi ;;
  settle)
    may_act; have_room
    case $state in out | in | scrap | back-*) fail "$room has data that was being moved" ;; esac
    let_old_go "$word"
    rm -rf "$room" "$memory" ;;
  *) fail "$verb is no step of a rebuild" ;;
esac
echo done
