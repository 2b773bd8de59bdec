# vote.sh MODE LEASE ID PID NAME...: a lease on a witness, which is a manager's for LEASE seconds of this host's uptime.
#   take     have it for all names, or say who has one of them; again and again, each time for LEASE seconds from then
#   release  give it back, if it is ours
#   look     only say
# Prints "ours", "free" or "another's ADDRESS, pid PID". Whose it is says the address that the manager comes from, and ID.
# The files lie where this user alone may write; those of before the last start of this host are nobody's.
set -u
umask 077
mode=$1 lease=$2 pid=$4 who="${SSH_CLIENT%% *} $3"
shift 4
dir=$HOME/.mha-votes
[ "$mode" = look ] || mkdir -p "$dir" || exit 1
[ -d "$dir" ] || { echo free; exit 0; }
[ ! -L "$dir" ] && [ -O "$dir" ] || { echo "$dir is not this user's own directory" >&2; exit 1; }
exec 9>>"$dir/lock" || exit 1
flock -w 1 9 || { echo "somebody else votes" >&2; exit 1; }
read -r boot </proc/sys/kernel/random/boot_id
read -r now _ </proc/uptime
now=${now%%.*}
# What a power cut took from the disk may still be somebody's.
[ "$now" -ge "$lease" ] || { echo "this host was started $now s ago" >&2; exit 1; }
another='' mine=''
for name; do
    [ -f "$dir/$name" ] || continue
    read -r its_address its_id its_pid its_boot its_end <"$dir/$name" || continue
    [ "$its_boot" = "$boot" ] && [ "$its_end" -gt "$now" ] || continue
    if [ "$its_address $its_id" = "$who" ]; then mine=1; else another="$its_address, pid $its_pid"; fi
done
case $mode in
    take)
        [ -z "$another" ] || { echo "another's $another"; exit 0; }
        for name; do
            # Whole seconds: a second more than it counts for whoever has it.
            printf '%s %s %s %s\n' "$who" "$pid" "$boot" "$((now + lease + 1))" >"$dir/$name.new" || exit 1
            mv "$dir/$name.new" "$dir/$name" || exit 1
        done
        echo ours
        exit 0 ;;
    release)
        if [ -n "$mine" ]; then
            for name; do
                read -r its_address its_id _ 2>/dev/null <"$dir/$name" || continue
                [ "$its_address $its_id" != "$who" ] || rm -f "$dir/$name"
            done
        fi ;;
esac
if [ -n "$another" ]; then echo "another's $another"; else echo free; fi
