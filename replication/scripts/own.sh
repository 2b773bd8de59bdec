# Part of other scripts: own_directory DIRECTORY prints it, made if need be, or where every local user may write there
# (/var/tmp, which is the default) one of this user's alone: within it, and where somebody else is in the way there, in
# his home directory. Names in it may be known beforehand, nobody else can put anything there. Says why when it fails.
others_write() { [ -n "$(find "$1/." -maxdepth 0 -perm -0002 2>/dev/null)" ]; }
is_own() { [ ! -L "$1" ] && [ -d "$1" ] && [ -O "$1" ] && [ -z "$(find "$1" -maxdepth 0 -perm /077 2>/dev/null)" ]; }
own_directory() {
  [ -d "$1" ] || mkdir -p -m 700 -- "$1" || return
  others_write "$1" || { printf '%s\n' "$1"; return; }
  for place in "$1/mha-$(id -u)" "${HOME:-/nowhere}/.mha"; do
    # Without the sticky bit whoever may write there may put another in its place.
    [ -k "$1" ] || [ "$place" != "$1/mha-$(id -u)" ] || continue
    [ -e "$place" ] || [ -L "$place" ] || mkdir -m 700 -- "$place" 2>/dev/null
    is_own "$place" && { printf '%s\n' "$place"; return; }
  done
  echo "every local user may write to $1, and $1/mha-$(id -u) is not this user's alone; set another remote_workdir" >&2
  return 1
}
