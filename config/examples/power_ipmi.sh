#!/bin/sh
# Powers a host off through its management board with ipmitool, as shutdown_script or as script: in fence.
#
#   shutdown_script=/etc/mha/power_ipmi.sh --boards /etc/mha/boards
#
# /etc/mha/boards has a line for each database host, and is readable by the manager's user only (chmod 600):
#
#   # host (as in the configuration)   board        user   file with the password
#   db1.example.com                    10.0.9.1     mha    /etc/mha/db1.bmc
#
# Exit codes: 0 the board says that the power is off (status: the board answers); 1 anything else. The password goes from
# its file to ipmitool (-f), never over a command line. It needs ipmitool, and nothing else.
boards=/etc/mha/boards
wait=30 # seconds from the order until the board must say off
interface=lanplus
command= host=

while [ $# -gt 0 ]; do
  case $1 in
    --boards) boards=$2 && shift ;;
    --wait) wait=$2 && shift ;;
    --boards=*) boards=${1#*=} ;;
    --wait=*) wait=${1#*=} ;;
    --command=*) command=${1#*=} ;;
    --host=*) host=${1#*=} ;;
    --ip=* | --port=* | --pid_file=* | --ssh_*=*) ;; # told by the manager, of no use here
    *) echo "unknown option $1" >&2 && exit 1 ;;
  esac
  shift
done

line=$(awk -v host="$host" '$1 == host { print; exit }' "$boards") || exit 1
set -- $line
[ $# -eq 4 ] || { echo "$boards has no line with four words for $host" >&2 && exit 1; }
board=$2 user=$3 password=$4
[ -r "$password" ] || { echo "the password file $password cannot be read" >&2 && exit 1; }

# Each question has a deadline of its own: -R and -N bound the retries of lanplus.
power() { timeout 15 ipmitool -I "$interface" -H "$board" -U "$user" -f "$password" -R 2 -N 2 chassis power "$@"; }
is_off() { case $(power status 2>&1) in *"Power is off"*) return 0 ;; *) return 1 ;; esac }

case $command in
  status)
    power status || { echo "the board $board of $host does not tell its power" >&2 && exit 1; }
    ;;
  stop | stopssh)
    end=$(($(date +%s) + wait))
    is_off && echo "$host is off already" && exit 0
    power off || echo "the board $board did not take the order; asking again" >&2
    while [ "$(date +%s)" -lt "$end" ]; do
      is_off && echo "$host is off, says its board $board" && exit 0
      sleep 1
      power off >/dev/null 2>&1
    done
    echo "$host is not off after $wait seconds, or its board $board does not answer" >&2
    exit 1
    ;;
  *) echo "unknown --command=$command" >&2 && exit 1 ;;
esac
