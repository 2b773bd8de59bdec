# copiers.sh BINDIR: which programs that copy a server's data are on this host, one "key value" a line.
bindir=$1
has() {
  for name in "$@"; do
    { [ -n "$bindir" ] && [ -x "$bindir/$name" ]; } || command -v "$name" >/dev/null || continue
    return 0
  done
  return 1
}
has mariadb-dump mysqldump && echo "dump yes"
has mariadb mysql && echo "client yes"
command -v mbstream >/dev/null && echo "mbstream yes"
for name in mariadb-backup mariabackup; do
  command -v $name >/dev/null || continue
  echo "backup $($name --version 2>&1 | grep -Eo '[0-9]+\.[0-9]+\.[0-9]+-MariaDB' | head -1)"
  break
done
echo done
