# look.sh VENDOR BINDIR LIBDIR WORKDIR DATADIR CURRENT INFO CONNECT [DIRECTORY…] <client.cnf: what a rescue needs of this
# host, without leaving anything on it. Tells what it found, a line each: key, tab, value[, tab, value].
# CURRENT is the name of the server's current binary log, INFO a file to be read, each empty for none; with CONNECT=1
# the mysql client opens a session with the option file that comes through stdin. $HELPER is where root's helper would be.
set -u
export LC_ALL=C
# A login file would count more than what comes here, and it is read whatever else is named.
export MYSQL_TEST_LOGIN_FILE=/nonexistent
vendor=$1 bindir=$2 libdir=$3 workdir=$4 datadir=$5 current=$6 info=$7 connect=$8
shift 8

tell() {
  key=$1
  shift
  printf '%s' "$key"
  printf '\t%s' "$@"
  printf '\n'
}

clock=$(date +%s.%N)
tell clock "${clock%.N}"
[ "$(id -u)" = 0 ] && tell superuser yes
[ -n "$datadir" ] && [ -O "$datadir" ] && tell owns yes
if [ "$(id -u)" != 0 ] && [ -n "${HELPER:-}" ] && [ -e "$HELPER" ]; then
  said=$(sudo -n "$HELPER" version 2>&1 </dev/null | tail -n 1 | tr '\t' ' ')
  case $said in "version "*) tell helper "${said#version }" ;; *) tell nohelper "${said:-it said nothing}" ;; esac
fi

for tool in bash ss flock timeout sha256sum tail head mktemp; do
  command -v "$tool" >/dev/null && tell tool "$tool"
done

# Sockets on which systemd itself listens, to start a server when somebody connects (systemd.socket(5)). It may hang.
if command -v timeout >/dev/null && command -v systemctl >/dev/null; then
  for unit in $(timeout 2 systemctl list-units --type=socket --state=active --plain --no-legend --no-pager \
    'mariadb*.socket' 'mysql*.socket' 2>/dev/null </dev/null | awk '{ print $1 }'); do
    tell activated "$unit"
  done
fi

#include programs.sh

first_line() { "$@" 2>&1 | head -n 1; }
# Up to 10.11 MariaDB's own number is all that --version tells; whose it is stands in its help.
maker() {
  if "$1" --no-defaults --help 2>/dev/null | grep -qi mariadb; then echo mariadb; else echo mysql; fi
}
reader=$(find_program $readers 2>/dev/null) && tell reader "$reader" "$(first_line "$reader" --version)" "$(maker "$reader")"
if client=$(find_program $clients 2>/dev/null); then
  tell client "$client" "$(first_line "$client" --version)"
  if [ "$connect" = 1 ]; then
    # sshd may give a socket as stdin, which nobody can open by its name; a pipe can be opened by who made it.
    unprivileged "$client"
    said=$($as sh -c 'cat | "$0" --defaults-file=/proc/self/fd/0 --local-infile=0 --connect-timeout=4 --batch \
      --skip-column-names --execute="$1" 2>&1' "$client" "SELECT CONCAT('id ', @@server_id)")
    # Before its answer it may warn of options that it does not know.
    said=$(printf '%s\n' "$said" | grep -vi '^[^ ]*warning' | tail -n 1 | tr '\t' ' ')
    case $said in
      "id "*) tell connects "" "${said#id }" ;;
      *) tell connects "${said:-it said nothing}" ;;
    esac
  fi
fi

# A work directory that is not there yet is made when it is needed.
parent=$workdir
while [ ! -e "$parent" ] && [ "$parent" != / ]; do parent=$(dirname "$parent"); done
if [ ! -d "$parent" ]; then
  tell workdir "$parent is no directory"
elif [ ! -w "$parent" ] || [ ! -x "$parent" ]; then
  tell workdir "$parent cannot be written"
fi

free() { df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }'; }
tell free "$workdir" "$(free "$parent")"
[ -d "$datadir" ] && tell free "$datadir" "$(free "$datadir")"

# The beginning of the current log, read and thrown away. What is being written just now may be read in part.
try_reader() {
  limit=""
  timeout 1 true 2>/dev/null && limit="timeout 4"
  for again in 1 2 3; do
    said=$($limit "$reader" --no-defaults --stop-position=65536 "$1" 2>&1 >/dev/null) && tell reads && return
  done
  said=$(printf '%s\n' "$said" | grep -i error | head -n 1 | tr '\t' ' ')
  tell reads "${said:-it did not end in time, or said nothing}"
}

for directory in "$@"; do
  if [ ! -e "$directory" ]; then
    tell unreadable "$directory" "there is no such directory, or one above it is closed"
  elif [ ! -d "$directory" ]; then
    tell unreadable "$directory" "it is no directory"
  elif [ ! -r "$directory" ] || [ ! -x "$directory" ]; then
    tell unreadable "$directory" "permission denied"
  elif [ -n "$current" ] && [ -e "$directory/$current" ]; then
    if [ -L "$directory/$current" ] || [ ! -f "$directory/$current" ]; then
      tell unreadable "$directory/$current" "it is a link or no file, and such are not read"
    elif [ -r "$directory/$current" ]; then
      tell log "$directory/$current"
      [ -n "$reader" ] && try_reader "$directory/$current" && reader=""
    else
      tell unreadable "$directory/$current" "permission denied"
    fi
  fi
done
if [ -n "$info" ] && [ ! -r "$info" ]; then tell unreadable "$info" "it is not there, or permission denied"; fi
tell done
