# unfence.sh [FILE|UNIT…]: take back what fence.sh left on this host, so that the server can be started again.
# Tells what it did, one "key value" a line; the last line is "done". No server is started or opened.
for what in "$@"; do
  case $what in
    */zz-mha-fenced.cnf) if rm -f "$what" 2>/dev/null; then echo "removed $what"; else echo "kept $what"; fi ;;
    */zz-mha-fenced.conf)
      if rm -f "$what" 2>/dev/null && systemctl daemon-reload >/dev/null 2>&1; then echo "removed $what"; else echo "kept $what"; fi ;;
    *.service)
      systemctl unmask --runtime "$what" >/dev/null 2>&1
      if systemctl unmask "$what" >/dev/null 2>&1; then echo "unmasked $what"; else echo "kept $what"; fi ;;
  esac
done
echo done
