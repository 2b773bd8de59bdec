#!/bin/sh
# Powers a host off through its management board with Redfish (curl), as shutdown_script or as script: in fence.
#
#   shutdown_script=/etc/mha/power_redfish.sh --boards /etc/mha/boards --ca /etc/mha/boards-ca.pem
#
# /etc/mha/boards has a line for each database host, and is readable by the manager's user only (chmod 600):
#
#   # host (as in the configuration)   system's address                                    netrc file with user and password
#   db1.example.com                    https://10.0.9.1/redfish/v1/Systems/System.Embedded.1  /etc/mha/db1.netrc
#
# A netrc file: "machine 10.0.9.1 login mha password …". Exit codes: 0 the board says that the power is off (status: it
# answers); 1 anything else. The password goes from its file to curl, never over a command line.
boards=/etc/mha/boards
wait=30 # seconds from the order until the board must say off
ca=
command= host=

while [ $# -gt 0 ]; do
  case $1 in
    --boards) boards=$2 && shift ;;
    --wait) wait=$2 && shift ;;
    --ca) ca=$2 && shift ;;
    --boards=*) boards=${1#*=} ;;
    --wait=*) wait=${1#*=} ;;
    --ca=*) ca=${1#*=} ;;
    --command=*) command=${1#*=} ;;
    --host=*) host=${1#*=} ;;
    --ip=* | --port=* | --pid_file=* | --ssh_*=*) ;; # told by the manager, of no use here
    *) echo "unknown option $1" >&2 && exit 1 ;;
  esac
  shift
done

line=$(awk -v host="$host" '$1 == host { print; exit }' "$boards") || exit 1
set -- $line
[ $# -eq 3 ] || { echo "$boards has no line with three words for $host" >&2 && exit 1; }
system=$2 netrc=$3
[ -r "$netrc" ] || { echo "the file $netrc cannot be read" >&2 && exit 1; }

ask() {
  curl --silent --show-error --fail --max-time 10 --netrc-file "$netrc" ${ca:+--cacert "$ca"} \
    --header "Accept: application/json" "$@"
}
state() { ask "$system" | tr -d '\n' | sed -n 's/.*"PowerState"[[:space:]]*:[[:space:]]*"\([A-Za-z]*\)".*/\1/p'; }
order() {
  ask --request POST --header "Content-Type: application/json" --data '{"ResetType": "ForceOff"}' \
    --output /dev/null "$system/Actions/ComputerSystem.Reset"
}

case $command in
  status)
    now=$(state)
    [ -n "$now" ] || { echo "the board of $host does not tell its power" >&2 && exit 1; }
    echo "the power of $host is $now"
    ;;
  stop | stopssh)
    end=$(($(date +%s) + wait))
    [ "$(state)" = Off ] && echo "$host is off already" && exit 0
    order || echo "the board did not take the order; asking again" >&2
    while [ "$(date +%s)" -lt "$end" ]; do
      [ "$(state)" = Off ] && echo "$host is off, says its board" && exit 0
      sleep 1
      order 2>/dev/null
    done
    echo "$host is not off after $wait seconds, or its board does not answer" >&2
    exit 1
    ;;
  *) echo "unknown --command=$command" >&2 && exit 1 ;;
esac
