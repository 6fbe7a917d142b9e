# A wrapper that forwards SIGTERM to its child, and waits for its end.
exec 9>"$WITNESS"
# If the recorder also got the signal directly, it must handle that before the next one:
# two pending signals would merge into one.
pass_on() {
  looks=0
  until [ -e "$WITNESS-$$-asked" ] || [ $looks -eq 50 ]; do
    sleep 0.02
    looks=$((looks + 1))
  done
  kill $recorder
  : >"$WITNESS-$$-passed-on"
}
trap pass_on TERM
sh "${0%/*}/recorder.sh" $$ &
recorder=$!
echo "alive $$ wrapper" >&9
while kill -0 $recorder 2>/dev/null; do wait $recorder; done
