# serves.sh END PID…: whether this host, one of these processes, or any other mysqld here has a connection from END, a
# pattern of what stands in proc(5), net/tcp, for its far end. Tells "seen", "unseen" or "unread" for the host, for each
# process, and once for all the others; the last line is "done".
end=$1
shift

# The table is not read at one instant: a line that is not there is looked for once more.
look() {
  if [ ! -r "/proc/$1/net/tcp" ] || ! command -v awk >/dev/null; then
    echo unread
    return
  fi
  for _ in 1 2; do
    said=$(cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null |
      awk -v end="$end" '$4 == "01" && $3 ~ end { found = 1 } END { print found ? "seen" : NR ? "unseen" : "unread" }')
    [ "$said" = unseen ] || break
  done
  echo "$said"
}

for p in self "$@"; do
  look "$p"
done
others=unseen
for d in /proc/[0-9]*; do
  p=${d#/proc/}
  { read -r name <"$d/comm"; } 2>/dev/null || continue
  case $name in mysqld | mariadbd) ;; *) continue ;; esac
  case " $* " in *" $p "*) continue ;; esac
  said=$(look "$p")
  [ "$said" = unseen ] || [ "$others" = seen ] || others=$said
done
echo "$others"
echo done
