#!/bin/sh
# Sends the report of a failover by mail, through this host's sendmail: report_script=/etc/mha/send_report.sh
# (notify= needs no script and no mail server of this host's: docs/notifications.md.)
to=dba@example.com
from=mha@example.com
sendmail=/usr/sbin/sendmail

subject='' body='' conf=''
for word in "$@"; do
  case $word in
    --subject=*) subject=${word#*=} ;;
    --body=*) body=${word#*=} ;;
    --conf=*) conf=${word#*=} ;;
    *) ;; # --orig_master_host, --new_master_host and --new_slave_hosts: the body has them
  esac
done
# A line end in a header would begin another one.
subject=$(printf %s "$subject" | tr '\r\n' '  ')
printf 'From: %s\nTo: %s\nSubject: %s\nContent-Type: text/plain; charset=utf-8\n\n%s\n\n%s\n' \
  "$from" "$to" "$subject" "$body" "$conf" | timeout 30 "$sendmail" -i -f "$from" "$to"
