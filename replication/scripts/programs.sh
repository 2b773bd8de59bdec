# Part of other scripts: find the client's programs of $vendor in $bindir, or on the path, with libraries in $libdir.
find_program() {
  for name in "$@"; do
    [ -n "$bindir" ] && [ -x "$bindir/$name" ] && echo "$bindir/$name" && return
    command -v "$name" && return
  done
  echo "none of $* is on this host; set client_bindir" >&2
  return 1
}

# They need no rights on this host: where the session is root's they run as nobody, if that can be had here. Nothing
# of the user's own changes whom they talk to, or what they tell.
unset MYSQL_PWD MYSQL_HOST MYSQL_TCP_PORT MYSQL_UNIX_PORT LIBMYSQL_PLUGINS LIBMYSQL_PLUGIN_DIR \
  LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN
export MYSQL_TEST_LOGIN_FILE=/nonexistent/mylogin.cnf
unprivileged() {
  as=
  [ "$(id -u)" = 0 ] || return 0
  if command -v setpriv >/dev/null; then
    as="setpriv --reuid=nobody --regid=$(id -g nobody) --clear-groups"
  elif command -v runuser >/dev/null; then
    as="runuser -u nobody --"
  fi
  $as "$1" --version >/dev/null 2>&1 </dev/null || as=
}

[ -n "$libdir" ] && export LD_LIBRARY_PATH="$libdir"
readers=mysqlbinlog clients=mysql
[ "$vendor" = mariadb ] && readers="mariadb-binlog mysqlbinlog" clients="mariadb mysql"

# Run a program with the option file of $directory as the only one. It comes through a pipe that the program made itself,
# so that it need not be able to read what this user can.
with_options() {
  $as sh -c 'exec 5<&0; cat <&4 | "$0" --defaults-file=/proc/self/fd/3 "$@" 3<&0 0<&5 4<&- 5<&-' "$@" \
    4<"$directory/client.cnf"
}
