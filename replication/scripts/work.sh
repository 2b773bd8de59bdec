# Part of other scripts: $directory within $workdir is theirs alone, as long as they run; $task is what they are called.
#include own.sh

workdir=$(own_directory "$workdir") || exit 90
directory=$(mktemp -d "$workdir/$task.XXXXXX") || exit 90
trap 'rm -rf "$directory"' EXIT
# PIPE: whoever would read the last words may be gone, and the password must go all the same.
trap 'exit 129' HUP INT TERM PIPE
# That of a manager which died may still be running here: it is waited for, so many seconds.
one_at_a_time() { ! command -v flock >/dev/null || { exec 9>>"$workdir/$task.lock" && flock -w "$1" 9; } || exit 95; }
# The option file comes first through stdin, up to an empty line.
read_options() {
  while IFS= read -r line && [ -n "$line" ]; do
    printf '%s\n' "$line" || exit 91
  done >"$directory/client.cnf" || exit 91
}
