#!/bin/sh
# Moves the address that applications use, over SSH, as MHA's scripts did. For failovers and for planned switches alike:
#
#   master_ip_failover_script=/etc/mha/master_ip_failover.sh
#   master_ip_online_change_script=/etc/mha/master_ip_failover.sh
#
# Nothing of it is needed where vip_provider=ip moves the address (docs/address.md): that one also looks who else has it.
# Exit codes: 0 done, 10 not done but go on, 1 not done. It asks for no password, so it is told none: hook_passwords=0.
address=10.0.0.100/24
device=eth0
patience=10 # seconds for one host

command='' user=root options='' old='' new=''
for word in "$@"; do
  case $word in
    --command=*) command=${word#*=} ;;
    --ssh_user=*) user=${word#*=} ;;
    --ssh_options=*) options=${word#*=} ;;
    --orig_master_ip=*) old=${word#*=} ;;
    --new_master_ip=*) new=${word#*=} ;;
    *) ;; # told by the manager, of no use here
  esac
done
sudo=''
[ "$user" = root ] || sudo='sudo -n'

# shellcheck disable=SC2086 # the options are several words
on() { timeout "$patience" ssh -n -o BatchMode=yes -o ConnectTimeout=5 $options "$user@$1" "$2"; }

take_from() {
  on "$1" "$sudo ip addr del $address dev $device 2>/dev/null; [ -z \"\$(ip -o addr show to ${address%/*})\" ]"
}

give_to() {
  on "$1" "$sudo ip addr replace $address dev $device && [ -n \"\$(ip -o addr show to ${address%/*})\" ] &&
    { ! command -v arping >/dev/null || $sudo arping -q -U -c 2 -w 2 -I $device ${address%/*} || :; }"
}

case $command in
  status) on "$old" true ;;
  # Without a new primary: a failover whose dead host nobody reaches, so nothing can be taken from it.
  stop) [ -z "$new" ] || take_from "$old" || exit 1 ;;
  stopssh) take_from "$old" || exit 1 ;;
  start) give_to "$new" || { echo "$address could not be given to $new" >&2 && exit 10; } ;;
  *) echo "unknown --command=$command" >&2 && exit 1 ;;
esac
