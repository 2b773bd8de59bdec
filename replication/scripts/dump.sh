# dump.sh WORKDIR BINDIR LIBDIR VENDOR [OPTION…] <client.cnf: everything that this host's server has, as statements.
# The option file, with the password, comes through stdin into a file that only this user can read and that lives as long as
# the command.
set -u
umask 077
task=mha-dump workdir=$1 bindir=$2 libdir=$3 vendor=$4
shift 4

#include work.sh
cat >"$directory/client.cnf" || exit 91

#include programs.sh

dumpers=mysqldump
[ "$vendor" = mariadb ] && dumpers="mariadb-dump mysqldump"
dumper=$(find_program $dumpers) || exit 92
unprivileged "$dumper"
with_options "$dumper" "$@"
