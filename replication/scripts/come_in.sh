# come_in.sh VENDOR BINDIR LIBDIR <blocks: log in as replicas would. Each block is an option file of the client's, ended
# by a line with a dot. Tells of each, a line: login, tab, its number from 1 on, tab, what was answered; or noclient.
set -u
export LC_ALL=C
# A login file would count more than what comes here, and it is read whatever else is named.
export MYSQL_TEST_LOGIN_FILE=/nonexistent
vendor=$1 bindir=$2 libdir=$3

#include programs.sh
client=$(find_program $clients 2>/dev/null) || { echo noclient; exit 0; }

# The password is in a pipe alone: printf is the shell's own, and sshd may give a socket as stdin, which has no name.
come_in() {
  said=$(printf '%s' "$2" | "$client" --defaults-file=/proc/self/fd/0 --batch --skip-column-names \
    --execute="SELECT CONCAT('id ', @@server_id)" 2>&1)
  # Before its answer it may warn of options that it does not know.
  said=$(printf '%s\n' "$said" | grep -vi '^[^ ]*warning' | tail -n 1 | tr '\t' ' ')
  printf 'login\t%s\t%s\n' "$1" "${said:-it said nothing}"
}

number=0 block=""
while IFS= read -r line; do
  if [ "$line" = . ]; then
    number=$((number + 1))
    come_in "$number" "$block" &
    block=""
  else
    block="$block$line
"
  fi
done
wait
