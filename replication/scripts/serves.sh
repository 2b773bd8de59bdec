# serves.sh END PID…: whether one of these processes, or this host, has a connection from END, a pattern of what stands
# in proc(5), net/tcp, for its far end. Tells "seen", "unseen" or "unread" for each; the last line is "done".
end=$1
shift
for p in self "$@"; do
  if [ ! -r "/proc/$p/net/tcp" ] || ! command -v awk >/dev/null; then
    echo unread
    continue
  fi
  cat "/proc/$p/net/tcp" "/proc/$p/net/tcp6" 2>/dev/null |
    awk -v end="$end" '$4 == "01" && $3 ~ end { found = 1 } END { print found ? "seen" : NR ? "unseen" : "unread" }'
done
echo done
