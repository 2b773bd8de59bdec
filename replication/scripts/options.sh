# Part of other scripts: what a server was told, by its command line and by the option files that it reads.

words() { tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline"; }

# The last value of an option in words, one a line: --NAME=VALUE, --NAME VALUE, or its LETTER.
option() { # NAME [LETTER]
  awk -v name="--$1" -v letter="-${2:-?}" '
    next_one { value = $0; next_one = 0; next }
    {
      key = $0
      sub(/=.*/, "", key)
      gsub(/_/, "-", key)
      if (key == name && index($0, "=")) value = substr($0, index($0, "=") + 1)
      else if (key == name || $0 == letter) next_one = 1
      else if (index($0, letter) == 1) value = substr($0, 3)
    }
    END { print value }'
}

# The root of a process, as a path of ours: empty where it is ours, or is not shown.
root_of() {
  [ "$(readlink "/proc/$1/ns/mnt" 2>/dev/null)" = "$(readlink /proc/self/ns/mnt)" ] && return
  [ -d "/proc/$1/root/." ] && printf '/proc/%s/root' "$1"
}

# The lines of an option file and of those that it includes; each file between [(] and [)], [?] for one that is closed.
flat() ( # ROOT FILE DEPTH
  [ -e "$1$2" ] && [ "$3" -lt 6 ] || exit
  [ -f "$1$2" ] && [ -r "$1$2" ] || { echo '[?]'; exit; }
  echo '[(]'
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      '!include'*)
        at=$(printf '%s\n' "$line" | sed 's/^!include[a-z]*[[:space:]]*//; s/[[:space:]]*$//')
        case $line in '!includedir'*) set -- "$1" "$2" "$3" "$1$at"/*.cnf ;; *) set -- "$1" "$2" "$3" "$1$at" ;; esac
        root=$1 depth=$3
        shift 3
        for file in "$@"; do flat "$root" "${file#"$root"}" $((depth + 1)); done
        set -- "$root" "" "$depth" ;;
      *) printf '%s\n' "$line" ;;
    esac
  done <"$1$2"
  echo '[)]'
)

# What these lines set for a server that reads the groups with SUFFIX, too; ? where a file could not be read.
set_for_servers() { # NAME SUFFIX
  awk -v name="$1" -v suffix="$2" '
    $0 == "[?]" { closed = 1; next }
    $0 == "[(]" { outer[++depth] = on; on = 0; next }
    $0 == "[)]" { on = outer[depth--]; next }
    /^[ \t]*\[/ {
      group = $0
      gsub(/^[ \t]*\[|\].*$/, "", group)
      if (suffix != "" && substr(group, length(group) - length(suffix) + 1) == suffix)
        group = substr(group, 1, length(group) - length(suffix))
      on = group ~ /^(server|mysqld|mariadb|mariadbd)(-[0-9]+\.[0-9]+)?$/
      next
    }
    on && index($0, "=") {
      key = substr($0, 1, index($0, "=") - 1)
      gsub(/[ \t]/, "", key)
      gsub(/_/, "-", key)
      sub(/^loose-/, "", key)
      if (key != name) next
      value = substr($0, index($0, "=") + 1)
      sub(/[ \t]+#.*/, "", value)
      gsub(/^[ \t"]+|[ \t"\r]+$/, "", value)
    }
    END { print (closed ? "?" : value) }'
}

# The port of who is started by words, one a line; empty where it is not told.
port_in() { # ROOT
  told=$(cat)
  [ -n "$told" ] || return
  found=$(printf '%s\n' "$told" | option port P)
  if [ -z "$found" ]; then
    file=$(printf '%s\n' "$told" | option defaults-file)
    more=$(printf '%s\n' "$told" | option defaults-extra-file)
    suffix=$(printf '%s\n' "$told" | option defaults-group-suffix)
    found=$(
      case $file in
        /*) if [ -e "$1$file" ]; then flat "$1" "$file" 0; else echo '[?]'; fi ;;
        ?*) echo '[?]' ;;
        *)
          if ! printf '%s\n' "$told" | grep -qxF -e --no-defaults; then
            for f in /etc/my.cnf /etc/mysql/my.cnf "$more"; do [ -z "$f" ] || flat "$1" "$f" 0; done
          fi ;;
      esac | set_for_servers port "$suffix"
    )
  fi
  case $found in '') echo 3306 ;; *[!0-9]*) ;; *) echo "$found" ;; esac
}

port_of() { words "$1" | port_in "$(root_of "$1")"; }
