#!/bin/sh
# What a plain SSH user may have done as root on this host, for one server; made by `mha config sudoers`. Owner root, mode
# 0755. Nothing that is given to it names a file, a process or an address: these stand here.
PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
unset IFS ENV BASH_ENV CDPATH LD_LIBRARY_PATH LD_PRELOAD NEIGHBOURS
umask 022
cd / || exit 1
[ "$(id -u)" = 0 ] || { echo "this is for root" >&2; exit 1; }

@facts@

# All data of a server takes its time.
case ${1:-} in rebuild* | backup*) limit=86400 ;; esac
# Who asked cannot end what runs as root, so it ends by itself.
[ -n "${MHA_HOST_LIMITED:-}" ] || ! command -v timeout >/dev/null ||
  exec env MHA_HOST_LIMITED=1 timeout -k 1 "$limit" "$0" "$@"

see_vitals() (
#include vitals.sh
)

see_present() (
#include present.sh
)

do_fence() (
#include fence.sh
)

do_unfence() (
#include unfence.sh
)

do_address() (
NEIGHBOURS=$(cat <<'PERL'
#include neighbours.pl
PERL
)
#include address.sh
)

do_keepalived() (
#include keepalived.sh
)

do_rebuild() (
#include rebuild.sh
)

do_backup() (
#include send_backup.sh
)

# What was fenced is noted, and nothing else is given free.
note() {
  mkdir -p -m 700 "$records" && [ -O "$records" ] || exit 1
  while IFS= read -r line; do
    printf '%s\n' "$line"
    case $line in
      'persisted '* | 'masked '*) grep -qxF -e "${line#* }" "$record" 2>/dev/null || printf '%s\n' "${line#* }" >>"$record" ;;
    esac
  done
}

give_free() {
  set --
  if [ -f "$record" ]; then
    while IFS= read -r line; do set -- "$@" "$line"; done <"$record"
  fi
  said=$(do_unfence "$@")
  printf '%s\n' "$said"
  case $said in *'kept '*) ;; *) rm -f "$record" ;; esac
}

# sudo compares the words as one text, so they are taken apart as one.
set -f
set -- $*
set +f
case "$*" in
  version) echo "version $version" ;;
  vitals) of_instance see_vitals "$1" ;;
  present) of_instance see_present "$1" ;;
  'fence 0 0' | 'fence 0 1' | 'fence 1 0' | 'fence 1 1' | 'fence only 0') of_instance do_fence "$@" | note ;;
  unfence) give_free ;;
  'rebuild '*) of_data do_rebuild "$2" "${3:-}" ;;
  'backup 0' | 'backup 1') of_backup do_backup "$2" ;;
  'close '*) if known_source "$2 $3"; then ss -K -t state syn-sent dst "$2" dport = ":$3"; else exit 2; fi ;;
  'part '*)
    known_source "$2 $3" || exit 2
    ss -K -t state syn-sent state established dst "$2" dport = ":$3" ;;
  'address look' | 'address release' | 'address acquire' | 'address announce') of_addresses do_address "$2" ;;
  'keepalived look' | 'keepalived stop' | 'keepalived pause' | 'keepalived start' | 'keepalived resume')
    of_keepalived do_keepalived "$2" ;;
  *) echo "these words are not allowed" >&2; exit 2 ;;
esac
