# Part of other scripts: find the client's programs of $vendor in $bindir, or on the path, with libraries in $libdir.
find_program() {
  for name in "$@"; do
    [ -n "$bindir" ] && [ -x "$bindir/$name" ] && echo "$bindir/$name" && return
    command -v "$name" && return
  done
  echo "none of $* is on this host; set client_bindir" >&2
  return 1
}

[ -n "$libdir" ] && export LD_LIBRARY_PATH="$libdir"
readers=mysqlbinlog clients=mysql
[ "$vendor" = mariadb ] && readers="mariadb-binlog mysqlbinlog" clients="mariadb mysql"
